"""The configuration: sections, reading, reload."""
