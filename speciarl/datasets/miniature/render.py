"""Draws the miniature's images: a silhouette in a color, with or without a visible marking.

The marking alone tells the classes of a group apart. In a stated share of the images it is
left out and the rest is blurred, so that nobody can know the class there, only its group.
"""

import colorsys
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFilter

from speciarl.datasets.miniature.catalogue import MiniatureClass

HUES = (0.02, 0.14, 0.36, 0.62, 0.83)
SHAPES = Path(__file__).with_name("shapes.yaml")
_UNIT = 84  # pixels of the canvas that the coordinates there are written for


@cache
def _shapes() -> dict[str, list[list[tuple[str, list[int], str]]]]:
    """Silhouettes by kind and markings by number, each as outline, coordinates and fill."""
    return yaml.safe_load(SHAPES.read_text())


def _draw(draw: ImageDraw.ImageDraw, shapes: list, group_color: tuple[int, int, int]) -> None:
    for outline, coordinates, fill in shapes:
        color = group_color if fill == "group" else fill
        getattr(draw, outline)(coordinates, fill=color)


def render(
    shown: MiniatureClass, rng: np.random.Generator, *, ambiguous: bool, size: int = _UNIT
) -> Image.Image:
    """Draw one RGB image of a class, `size` x `size` pixels.

    Args:
        rng: source of the image's own variation (place, shade, background, noise).
        ambiguous: leave the marking out and blur, so that only the group can be known.
    """
    background = tuple(int(v) for v in rng.integers(150, 215, 3))
    saturation, value = rng.uniform(0.65, 0.95), rng.uniform(0.7, 0.95)
    hue = (HUES[shown.hue] + rng.uniform(-0.02, 0.02)) % 1.0
    red, green, blue = (int(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))

    canvas = Image.new("RGB", (_UNIT, _UNIT), background)
    draw = ImageDraw.Draw(canvas)
    _draw(draw, _shapes()["silhouettes"][shown.kind], (red, green, blue))
    if not ambiguous:
        _draw(draw, _shapes()["markings"][shown.marking], (red, green, blue))
    scale = rng.uniform(0.9, 1.0)
    dx, dy = rng.uniform(-4, 4, 2)
    canvas = canvas.transform(
        (_UNIT, _UNIT),
        Image.Transform.AFFINE,
        (1 / scale, 0, dx, 0, 1 / scale, dy),
        resample=Image.Resampling.BILINEAR,
        fillcolor=background,
    )
    if ambiguous:
        canvas = canvas.filter(ImageFilter.GaussianBlur(3))
    noise = rng.normal(0, 6, (_UNIT, _UNIT, 3))
    pixels = np.clip(np.asarray(canvas, dtype=np.float32) + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    return image if size == _UNIT else image.resize((size, size), Image.Resampling.BILINEAR)
