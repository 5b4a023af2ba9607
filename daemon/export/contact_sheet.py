"""A contact sheet: small pictures of a film in a grid, each with its time and score below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

GROUND, TEXT, QUIET, ACCENT = (22, 20, 18), (238, 233, 225), (164, 156, 144), (232, 163, 61)
GAP = 8
TITLE_PIXELS, CAPTION_PIXELS = 18, 12
MOST_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture as JPEG, what stands below it, and whether it is a still: those have a frame around."""

    picture: bytes
    caption: str
    chosen: bool


def draw(title: str, facts: str, cells: Sequence[Cell], columns: int, kind: Literal["PNG", "JPEG"]) -> bytes:
    """The sheet as an image file; all cells are as large as the first. Raises ValueError when it gets too large."""
    title_font, font = ImageFont.load_default(TITLE_PIXELS), ImageFont.load_default(CAPTION_PIXELS)
    pictures = [Image.open(io.BytesIO(cell.picture)).convert("RGB") for cell in cells]
    wide, high = pictures[0].size if pictures else (160, 90)
    columns = max(1, min(columns, len(cells) or 1))
    rows = -(-len(cells) // columns)
    row_high = high + CAPTION_PIXELS + GAP + GAP
    # A column of upright pictures is narrow: the title has its room all the same.
    width = max(GAP + columns * (wide + GAP), 480)
    top = GAP + TITLE_PIXELS + GAP + CAPTION_PIXELS + 2 * GAP
    height = top + rows * row_high + GAP
    if width * height > MOST_PIXELS:
        raise ValueError(f"the sheet would have {width} x {height} pixels: ask for fewer pictures")
    sheet = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), _fitting(pen, title, width - 2 * GAP, title_font), TEXT, title_font)
    pen.text((GAP, GAP + TITLE_PIXELS + GAP), _fitting(pen, facts, width - 2 * GAP, font), QUIET, font)
    for number, (cell, picture) in enumerate(zip(cells, pictures, strict=True)):
        x = GAP + (number % columns) * (wide + GAP)
        y = top + (number // columns) * row_high
        if cell.chosen:
            pen.rectangle((x - 3, y - 3, x + wide + 2, y + high + 2), ACCENT)
        sheet.paste(picture.resize((wide, high)) if picture.size != (wide, high) else picture, (x, y))
        colour = ACCENT if cell.chosen else QUIET
        pen.text((x, y + high + 4), _fitting(pen, cell.caption, wide, font), colour, font)
    file = io.BytesIO()
    sheet.save(file, kind, **({"quality": 90} if kind == "JPEG" else {"optimize": True}))
    return file.getvalue()


def _fitting(
    pen: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """As much of a text as has room."""
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."
