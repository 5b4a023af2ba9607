"""What others see of the daemon: status, metrics, web hooks."""
