"""The parquet files of the Hugging Face copy: two a split, label names in their metadata."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from speciarl.datasets.miniature.layouts import MiniatureImage, class_names

HAS_VAL = False
_ROWS_PER_GROUP = 100
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "image": pl.Struct({"bytes": pl.Binary, "path": pl.String}),
    "label": pl.Int64,
}


def write(into: Path, images: Sequence[MiniatureImage]) -> None:
    """Write the files; as in the original, rows are not in the order of classes."""
    label = {"names": class_names(images), "_type": "ClassLabel"}
    features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    for split in ("train", "test"):
        rows = sorted((p for p in images if p.split == split), key=lambda p: p.index)
        records = [
            ({"bytes": p.jpeg, "path": f"{n:05d}.jpg"}, p.class_id)
            for n, p in enumerate(rows, start=1)
        ]
        half = (len(records) + 1) // 2
        for part, piece in enumerate((records[:half], records[half:])):
            pl.DataFrame(piece, schema=_SCHEMA, orient="row").write_parquet(
                into / f"{split}-{part:05d}-of-00002.parquet",
                row_group_size=_ROWS_PER_GROUP,
                metadata={"huggingface": json.dumps(features)},
            )
