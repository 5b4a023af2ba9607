"""Structured logs: set-up and the thread that writes them."""
