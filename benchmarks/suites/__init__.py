"""The benchmarks, each a module with ``measure(settings) -> Report``."""
