"""The process: start, signals, reload, stop."""
