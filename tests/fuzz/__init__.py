"""Structured mutants of what strangers send, each under bounds of memory and time; ``python -m tests.fuzz``."""
