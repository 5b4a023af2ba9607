"""When Python looks for cycles: not while libraries are loaded, where a quarter of the time would go into it."""

from __future__ import annotations

import gc


def loading() -> None:
    """From now on nothing is looked through."""
    gc.disable()


def loaded() -> None:
    """What was loaded stays for good: from here on, cycles are looked for among what is new."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
