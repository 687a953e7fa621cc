"""The service: what triggers say becomes runs, each once."""
