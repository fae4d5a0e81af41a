"""102flowers.tgz with the MATLAB files of the official split and the tables of the CoOp split."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speciarl.datasets.miniature.layouts import (
    MiniatureImage,
    class_names,
    matlab,
    text,
    write_coop_split,
    write_tar,
)

HAS_VAL = True


def write(into: Path, images: Sequence[MiniatureImage]) -> None:
    """Write the archive of consecutively numbered images and the index files beside it."""
    files = {image: f"image_{n:05d}.jpg" for n, image in enumerate(images, start=1)}
    write_tar(into / "102flowers.tgz", [(f"jpg/{file}", p.jpeg) for p, file in files.items()])

    labels = np.array([[p.class_id + 1 for p in images]], dtype=np.uint8)
    (into / "imagelabels.mat").write_bytes(matlab(labels=labels))
    members = {
        variable: np.array(
            [[n for n, p in enumerate(images, start=1) if p.split == split]], dtype=np.uint16
        )
        for variable, split in (("trnid", "train"), ("valid", "val"), ("tstid", "test"))
    }
    (into / "setid.mat").write_bytes(matlab(**members))

    names = (f"{i},,{name}" for i, name in enumerate(class_names(images)))
    (into / "metadata.csv").write_bytes(text(["idx,folder_name,class_name", *names]))
    labeled = (f"{file},{p.class_id}" for p, file in files.items())
    (into / "labels.csv").write_bytes(text(["filename,class_idx", *labeled]))
    write_coop_split(into, images, files.__getitem__, val_share=2 / 7, mixed=True)
