"""Text to model: project files, step tables and the project's own functions. Knows nothing of running."""
