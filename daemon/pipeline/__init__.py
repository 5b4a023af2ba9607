"""One video through the stages."""
