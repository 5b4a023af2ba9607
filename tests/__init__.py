"""The tests."""

import os

# As the console script does, before numpy is loaded: what a test measures is what the program takes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
