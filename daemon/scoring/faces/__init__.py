"""Faces in single pictures: where they are, whether their eyes are open, and whether they look this way."""
