"""Files that are whole or absent: written beside their place, then renamed into it."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A place to write to; it becomes `path` only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """An empty folder to fill; it replaces `path` only if the block ends well.

    What a killed writer has left of its own attempt is removed first.
    """
    partial = path.with_name(f".{path.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_parquet(table: pl.DataFrame, path: Path) -> None:
    with atomic_write(path) as partial:
        table.write_parquet(partial, compression="zstd")


def write_json(value: object, path: Path) -> None:
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_digest(folder: Path) -> None:
    """Put a digest of all files below a folder into it, as digest.json.

    DVC reads it as parameters, which may be missing where a dependency may not (dvc.yaml).
    """
    below = sorted(folder.iterdir())
    write_json({"files": content_hash(below)}, folder / "digest.json")


def content_hash(paths: Iterable[Path], *values: object) -> str:
    """Hash of the bytes of files (folders: of all files in them) and of plain JSON values."""
    digest = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8)
    for path in paths:
        below = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for one in below:
            if one.name == ".snakemake_timestamp":
                continue
            digest.update(str(one.relative_to(path.parent)).encode())
            with one.open("rb") as content:
                digest.update(hashlib.file_digest(content, "blake2b").digest())
    return digest.hexdigest()
