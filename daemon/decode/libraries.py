"""The versions of FFmpeg's libraries that decode."""

from __future__ import annotations

import av

_DECODING = ("libavcodec", "libavformat", "libavfilter", "libswscale")


def library_versions() -> dict[str, str]:
    """Of each library its version, such as 62.11.100."""
    return {name: ".".join(map(str, av.library_versions[name])) for name in _DECODING}
