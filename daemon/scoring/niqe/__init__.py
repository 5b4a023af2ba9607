"""NIQE as compiled code, without torch."""
