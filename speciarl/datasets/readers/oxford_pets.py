"""Oxford-IIIT Pets: images in one flat folder, named `CLASS_NUMBER.jpg`.

The folder also holds stray .mat files, and some .jpg files are PNG or GIF inside; neither
matters here, since only listed names are used and images are opened by their content.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from speciarl.datasets.readers import Field, Row, coop_split, lines, look_up, whole_number

SPLIT_KINDS = ("official", "coop")
_LISTS = {"train": "trainval.txt", "test": "test.txt"}


def read(root: Path, split_kind: str) -> Iterator[Row]:
    """The official split (trainval is called train) or the CoOp split.

    The CoOp file's folders (Abyssinian/Abyssinian_1.jpg) do not exist in the archive. Display
    names are lower case throughout, cats too, although the archive capitalises those.
    """
    listed = list(_listed(root))
    class_ids = {name: class_id for _, name, class_id in listed}
    members = ((split, name) for split, name, _ in listed)
    if split_kind == "coop":
        members = ((s, name.derived(PurePosixPath(name).stem)) for s, name in coop_split(root))
    for split, name in members:
        class_id = look_up(name, class_ids, root / "annotations")
        shown = name.rpartition("_")[0].replace("_", " ").lower()
        yield split, name, f"images/{name}.jpg", class_id, shown


def _listed(root: Path) -> Iterator[tuple[str, Field, int]]:
    """(split, image's name, class id from 0) of the official lists."""
    for split, file_name in _LISTS.items():
        for line in lines(root / "annotations" / file_name):
            if line.startswith("#"):
                continue
            fields = line.split()
            if len(fields) != 4:
                raise line.fault("'NAME CLASS SPECIES BREED'")
            name, number = map(line.derived, fields[:2])
            yield split, name, whole_number(number, 1) - 1
