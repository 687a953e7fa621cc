"""What people test their plugins and pipelines with."""
