"""Small, sound components of each family, in memory or on the standard library: for tests of pipelines and of suites."""
