"""Food-101: `CLASS/ID` lists without extension (official) or split_coop.csv (CoOp)."""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import Field, Row, coop_split, lines, look_up, once, without_suffix

SPLIT_KINDS = ("official", "coop")


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official or the CoOp split.

    Classes are numbered in the order of their bytes, as the CoOp metadata does; classes.txt
    itself has cheesecake before cheese_plate.
    """
    classes_txt = root / "food-101" / "meta" / "classes.txt"
    class_ids = {name: index for index, name in enumerate(sorted(once(lines(classes_txt))))}
    members = _official_split(root) if split_kind == "official" else coop_split(root)
    for split, file in members:
        key, folder = without_suffix(file), file.derived(file.partition("/")[0])
        class_id = look_up(folder, class_ids, classes_txt)
        yield split, key, f"food-101/images/{file}", class_id, folder.replace("_", " ")


def _official_split(root: Path) -> Iterator[tuple[str, Field]]:
    for split in ("train", "test"):
        for key in lines(root / "food-101" / "meta" / f"{split}.txt"):
            yield split, key.derived(f"{key}.jpg")
