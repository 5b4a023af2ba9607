"""Which frames to keep: pure functions on arrays."""
