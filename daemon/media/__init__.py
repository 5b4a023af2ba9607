"""What the decoder and the exporter share word for word."""
