"""Draws the images of the shipped sets from their descriptions.

A description has `size` (width and height in pixels), `background`, a list of `items`, which are
drawn in their order, and may have `turn` (degrees), `blur` (pixels) and `noise` (0 to 255, with
`seed`). An item is a shape, a text or a line. Coordinates count from the upper left corner.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIDES = {"triangle": 3, "diamond": 4, "pentagon": 5, "hexagon": 6}


def drawn(spec: Mapping[str, Any]) -> Image.Image:
    """Return the image of a description."""
    background = spec.get("background", "white")
    image = Image.new("RGB", tuple(spec["size"]), background)
    pen = ImageDraw.Draw(image)
    for item in spec["items"]:
        _draw(pen, item)
    if "turn" in spec:
        image = image.rotate(spec["turn"], Image.Resampling.BICUBIC, fillcolor=background)
    if "blur" in spec:
        image = image.filter(ImageFilter.BoxBlur(spec["blur"]))
    if "noise" in spec:
        image = _noisy(image, spec["noise"], spec.get("seed", 0))
    return image


def _draw(pen: ImageDraw.ImageDraw, item: Mapping[str, Any]) -> None:
    fill = item.get("fill", "black")
    if "text" in item:
        font = ImageFont.load_default(item.get("size", 20))
        pen.text(tuple(item["at"]), item["text"], fill=fill, font=font)
    elif "line" in item:
        pen.line([tuple(point) for point in item["line"]], fill=fill, width=item.get("width", 2))
    elif "box" in item:
        pen.rectangle(item["box"], fill=item.get("fill"), outline=item.get("outline", "black"))
    else:
        _shape(pen, item["shape"], item["at"], item["size"], fill)


def _shape(pen: ImageDraw.ImageDraw, shape: str, at: tuple[int, int], size: int, fill: str) -> None:
    """Draw a shape around a centre; `size` is its radius, for a square half of its side."""
    x, y = at
    around = (x - size, y - size, x + size, y + size)
    if shape == "circle":
        pen.ellipse(around, fill=fill)
    elif shape == "square":
        pen.rectangle(around, fill=fill)
    elif shape == "star":
        corners = [_corner(x, y, size if n % 2 == 0 else size * 2 // 5, n, 10) for n in range(10)]
        pen.polygon(corners, fill=fill)
    else:
        sides = _SIDES[shape]
        pen.polygon([_corner(x, y, size, n, sides) for n in range(sides)], fill=fill)


def _corner(x: int, y: int, radius: int, number: int, corners: int) -> tuple[int, int]:
    angle = 2 * math.pi * number / corners - math.pi / 2
    return round(x + radius * math.cos(angle)), round(y + radius * math.sin(angle))


def _noisy(image: Image.Image, most: int, seed: int) -> Image.Image:
    """Return an image with grey noise; a seed always gives the same."""
    rng = random.Random(seed)  # noqa: S311 - a picture, not a secret
    grain = Image.frombytes("L", image.size, rng.randbytes(image.width * image.height))
    grain = grain.point([value * most // 255 for value in range(256)])
    from PIL import ImageChops

    return ImageChops.subtract(image, Image.merge("RGB", (grain, grain, grain)))
