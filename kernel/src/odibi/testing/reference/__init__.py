"""Small, sound components of each family, in memory or on the standard library: to test pipelines and suites with."""
