"""What is claimed about Odibi's speed, measured beside others in one run; see README.md."""
