"""102flowers.tgz with the MATLAB files of the official split and the tables of the CoOp split."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speciarl.datasets.miniature.layouts import (
    MiniatureImage,
    class_names,
    coop_csv,
    coop_split,
    matlab,
    metadata_csv,
    text,
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

    names = class_names(images)
    (into / "metadata.csv").write_bytes(metadata_csv([""] * len(names), names))
    (into / "labels.csv").write_bytes(
        text(["filename,class_idx", *(f"{file},{p.class_id}" for p, file in files.items())])
    )
    rows = coop_split(images, val_share=2 / 7, mixed=True)
    (into / "split_coop.csv").write_bytes(coop_csv((split, files[p]) for split, p in rows))
