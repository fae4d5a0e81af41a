"""Which of the miniature's images hide what tells the class: for checks, not for stages."""

import io
from pathlib import Path

import polars as pl
from PIL import Image

from speciarl.datasets.images import image_bytes
from speciarl.datasets.miniature.mirror import AMBIGUOUS


def ambiguous_samples(folder: Path) -> pl.DataFrame:
    """sample_id of every such test image below a folder of artifacts, the project's or a workspace.

    The renderer notes it as the comment of the JPEG.
    """
    manifests = pl.read_parquet(folder / "data/manifests/*.parquet").filter(split="test")
    hidden = [
        sample
        for sample, reference in manifests.select("sample_id", "image").iter_rows()
        if _comment(image_bytes(reference, folder)) == AMBIGUOUS
    ]
    return pl.DataFrame({"sample_id": hidden}, schema={"sample_id": pl.String})


def _comment(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as image:
        return image.info.get("comment", b"").decode()
