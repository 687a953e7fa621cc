"""The ``odibi`` command; each command is a thin call of the public API."""
