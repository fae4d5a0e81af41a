"""FGVC-Aircraft 2013b: one `ID VARIANT` per line; the class is the variant."""

from pathlib import Path

import polars as pl

from speciarl.datasets.readers import SPLITS, frame, lines, look_up, pairs

SPLIT_KINDS = ("official",)


def read(root: Path, split_kind: str) -> pl.DataFrame:
    """Manifest of the official train, val and test lists.

    Ids stay text, since they have leading zeros, and variants may hold spaces (BAE 146-200).
    """
    data = Path("fgvc-aircraft-2013b/data")
    variants_txt = root / data / "variants.txt"
    class_ids = {name: index for index, name in enumerate(lines(variants_txt))}
    return frame(
        "fgvc_aircraft",
        (
            (
                split,
                image_id,
                f"{data.as_posix()}/images/{image_id}.jpg",
                look_up(variant, class_ids, variants_txt),
                variant,
            )
            for split in SPLITS
            for image_id, variant in pairs(root / data / f"images_variant_{split}.txt")
        ),
    )
