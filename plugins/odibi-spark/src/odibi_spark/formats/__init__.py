"""The formats of files and databases on Spark."""
