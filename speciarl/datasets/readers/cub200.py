"""CUB-200-2011: text files with one `ID VALUE` per line, ids from 1."""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import Row, look_up, pairs, whole_number, without_suffix

SPLIT_KINDS = ("official",)
_SPLITS = {"1": "train", "0": "test"}


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official split; paths are taken from images.txt as they stand.

    Folder and file names differ in case (001.Black_footed_Albatross/Black_Footed_…), so neither
    is derived from the other.
    """
    base = root / "CUB_200_2011"
    folders = dict(pairs(base / "classes.txt"))
    labels = dict(pairs(base / "image_class_labels.txt"))
    training = dict(pairs(base / "train_test_split.txt"))
    for image_id, image in pairs(base / "images.txt"):
        class_id = look_up(image_id, labels, base / "image_class_labels.txt")
        folder = look_up(class_id, folders, base / "classes.txt")
        flag = look_up(image_id, training, base / "train_test_split.txt")
        split = look_up(flag, _SPLITS, base / "train_test_split.txt")
        key = without_suffix(image, base / "images.txt")
        number = whole_number(class_id, base / "classes.txt")
        name = folder.partition(".")[2].replace("_", " ")
        yield split, key, f"CUB_200_2011/images/{image}", number - 1, name
