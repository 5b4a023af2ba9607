"""Concurrency and the operating system; knows no video."""
