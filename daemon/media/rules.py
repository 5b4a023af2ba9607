"""The version of the rules by which a frame becomes a picture.

1. Only PQ and HLG are turned to BT.709; alpha is dropped, the container's crop and colour tags are not looked at.
2. Every colour becomes BT.709; the container's crop is applied; alpha is laid over a ground; what frames say of their
   colours goes before what the codec, and that before what the container says; frames of two fields are made of one.
3. Chroma that pixels share is spread from where the file says that it lies, or from the left; before, from the middle.
   Frames without colour tags do not get those of the part behind them. Ruled lines are no comb of two fields.

A film keeps the version by which it was scored (``VideoInfo.rules``) until it is scored again, and each still carries
the one by which it was made, so that it can be proven for as long as there is its source.
"""

from __future__ import annotations

PICTURE_RULES = 3
"""The version for films that are scored now."""
CENTRED_CHROMA_RULES = 2
"""The last version that took all chroma to lie in the middle."""
FIRST_RULES = 1
"""What films and stills have that do not name a version."""


def scored_by(scorer: str, rules: int, *, deinterlace: bool) -> str:
    """A scorer's identity together with the rules for the pictures that it was given."""
    if rules == FIRST_RULES:
        return scorer
    return f"{scorer}|pictures {rules}" if deinterlace else f"{scorer}|pictures {rules}, interlaced"
