"""A source file: noticed, settled, identified, queued, disposed of."""
