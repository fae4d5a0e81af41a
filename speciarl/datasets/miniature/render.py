"""Draws the miniature's images: a silhouette in a color, with or without a visible marking.

The marking alone tells the classes of a group apart. In a stated share of the images it is
left out and the rest is blurred, so that nobody can know the class there, only its group.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from speciarl.datasets.miniature.catalogue import MiniatureClass

HUES = (0.02, 0.14, 0.36, 0.62, 0.83)
DARK, LIGHT = (20, 20, 20), (250, 250, 250)
_UNIT = 84  # the coordinates below are written for a canvas of this many pixels


def _silhouette(draw: ImageDraw.ImageDraw, kind: int, color: tuple[int, int, int]) -> None:
    if kind == 0:  # bird
        draw.ellipse((14, 30, 66, 70), fill=color)
        draw.ellipse((50, 14, 74, 38), fill=color)
        draw.polygon([(72, 22), (83, 27), (72, 30)], fill=DARK)
    elif kind == 1:  # airplane
        draw.polygon([(2, 42), (14, 33), (74, 33), (83, 42), (74, 55), (14, 55)], fill=color)
        draw.polygon([(30, 34), (44, 4), (56, 4), (52, 34)], fill=color)
        draw.polygon([(30, 54), (44, 82), (56, 82), (52, 54)], fill=color)
    elif kind == 2:  # flower
        for x, y in ((42, 18), (64, 34), (56, 62), (28, 62), (20, 34)):
            draw.ellipse((x - 17, y - 17, x + 17, y + 17), fill=color)
        draw.ellipse((24, 24, 60, 60), fill=color)
    elif kind == 3:  # a plate of food
        draw.ellipse((2, 2, 82, 82), fill=(235, 235, 235))
        draw.ellipse((14, 14, 70, 70), fill=color)
    elif kind == 4:  # dog
        draw.rectangle((12, 28, 64, 58), fill=color)
        draw.rectangle((56, 10, 80, 34), fill=color)
        for x in (14, 28, 44, 56):
            draw.rectangle((x, 58, x + 8, 82), fill=color)
    elif kind == 5:  # car
        draw.polygon([(18, 34), (30, 14), (58, 14), (70, 34)], fill=color)
        draw.rectangle((4, 34, 80, 62), fill=color)
        for x in (12, 54):
            draw.ellipse((x, 54, x + 20, 74), fill=DARK)
    else:
        raise ValueError(f"no silhouette {kind}")


def _marking(draw: ImageDraw.ImageDraw, marking: int) -> None:
    left, top, right, bottom = 22, 32, 62, 60
    across, down = (left + right) // 2, (top + bottom) // 2
    whole = (left, top, right, bottom)
    if marking == 0:
        draw.rectangle(whole, fill=DARK)
    elif marking == 1:
        draw.rectangle(whole, fill=LIGHT)
    elif marking in (2, 3):  # two halves, side by side
        colors = (DARK, LIGHT) if marking == 2 else (LIGHT, DARK)
        draw.rectangle((left, top, across, bottom), fill=colors[0])
        draw.rectangle((across, top, right, bottom), fill=colors[1])
    elif marking in (4, 5):  # two halves, one above the other
        colors = (DARK, LIGHT) if marking == 4 else (LIGHT, DARK)
        draw.rectangle((left, top, right, down), fill=colors[0])
        draw.rectangle((left, down, right, bottom), fill=colors[1])
    elif marking == 6:  # a light patch in a dark frame
        draw.rectangle(whole, fill=DARK)
        draw.rectangle((left + 11, top + 8, right - 11, bottom - 8), fill=LIGHT)
    elif marking == 7:  # stripes
        for x in range(left, right, 14):
            draw.rectangle((x, top, x + 6, bottom), fill=LIGHT)
    else:
        raise ValueError(f"no marking {marking}")


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
    _silhouette(draw, shown.kind, (red, green, blue))
    if not ambiguous:
        _marking(draw, shown.marking)
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
