"""stillwatch: watch a folder, score every frame of every video, keep the best as proven stills."""

__version__ = "0.1.0"
