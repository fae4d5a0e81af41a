"""FGVC-Aircraft 2013b: one `ID VARIANT` per line; the class is the variant."""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import SPLITS, Row, lines, look_up, once, pairs

SPLIT_KINDS = ("official",)
_DATA = "fgvc-aircraft-2013b/data"


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official train, val and test lists.

    Ids stay text, since they have leading zeros, and variants may hold spaces (BAE 146-200).
    """
    variants_txt = root / _DATA / "variants.txt"
    class_ids = {name: index for index, name in enumerate(once(lines(variants_txt)))}
    for split in SPLITS:
        for key, name in pairs(root / _DATA / f"images_variant_{split}.txt").items():
            class_id = look_up(name, class_ids, variants_txt)
            yield split, key, f"{_DATA}/images/{key}.jpg", class_id, name
