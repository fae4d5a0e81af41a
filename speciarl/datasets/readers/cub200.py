"""CUB-200-2011: text files with one `ID VALUE` per line, ids from 1."""

from collections.abc import Iterator
from pathlib import Path

from speciarl.datasets.readers import Row, look_up, once, pairs, whole_number, without_suffix

SPLIT_KINDS = ("official",)
_TABLES = ("classes", "image_class_labels", "train_test_split")
_SPLITS = {"1": "train", "0": "test"}


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official split; paths are taken from images.txt as they stand.

    Folder and file names differ in case (001.Black_footed_Albatross/Black_Footed_…), so neither
    is derived from the other.
    """
    base = root / "CUB_200_2011"
    classes, labels, flags = (base / f"{name}.txt" for name in _TABLES)
    names = {
        number: folder.derived(folder.partition(".")[2].replace("_", " "))
        for number, folder in pairs(classes).items()
    }
    once(names.values())
    label_of, flag_of = pairs(labels), pairs(flags)
    for image_id, image in pairs(base / "images.txt").items():
        class_id = look_up(image_id, label_of, labels)
        name = look_up(class_id, names, classes)
        flag = look_up(image_id, flag_of, flags)
        if flag not in _SPLITS:
            raise flag.fault("0 or 1")
        path = f"CUB_200_2011/images/{image}"
        yield _SPLITS[flag], without_suffix(image), path, whole_number(class_id, 1) - 1, name
