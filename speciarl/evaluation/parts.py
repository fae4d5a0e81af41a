"""The parts that a run's predictions are made in, and the tables that they make together.

A part is what is generated together: some images of one dataset, for one seed. Its rows depend on
nothing outside it, so that however the parts are divided among jobs, the tables have the same
bytes; and each finished part is kept, whatever becomes of its job.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import polars as pl

from speciarl.config import Evaluation, Run
from speciarl.errors import DataError
from speciarl.files import atomic_directory, content_hash, read_done, write_digest, write_parquet

NO_MATTER = {"max_failures", "shards", "tensor_parallel"}  # to a part's rows
DONE = ".done"


@dataclass(frozen=True)
class Part:
    seed: int
    dataset: str
    samples: pl.DataFrame  # rows of the manifest
    total: int  # images of the dataset, in all its parts
    path: Path  # of its rows, once they are finished

    @property
    def marker(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def finished(self) -> bool:
        return read_done(self.marker) is not None

    @property
    def whole(self) -> bool:
        """Finished, with all images shown; one that could not be may be in its place by now."""
        return self.finished and not unseen(pl.read_parquet(self.path))


@dataclass(frozen=True)
class Prediction:
    """What the predictions of a run are made from."""

    base: Path  # directory of the base policy
    trained: Path  # folder of what each of the run's seeds has made of it (SEED)
    manifests: Sequence[Path]  # DATASET.parquet
    run: Run
    settings: Evaluation
    work: Path  # where finished parts are kept
    archives: Mapping[str, Path] = field(default_factory=dict)  # by dataset, what stands for them
    code: Mapping[str, str] = field(default_factory=dict)  # digests of that of the job

    def parts(self) -> list[Part]:
        """Of all seeds and datasets; their files are named by all that their rows depend on.

        Raises:
            DataError: a dataset has no test image.
        """
        return [part for seed in self.run.seeds for part in self._of_seed(seed)]

    def shard(self, number: int) -> list[Part]:
        """The parts of one of `evaluation.shards` jobs, counted from 1: every so many-th."""
        return self.parts()[number - 1 :: self.settings.shards]

    def _of_seed(self, seed: int) -> Iterator[Part]:
        settled = content_hash(
            [self.base, self.trained / str(seed)],
            self.run.model_dump(exclude={"seeds"}), seed,
            self.settings.model_dump(exclude=NO_MATTER), dict(self.code),
        )  # fmt: skip
        images_together = max(1, self.settings.batch_size // self.run.best_of)
        for path in self.manifests:
            samples = pl.read_parquet(path).filter(split="test").sort("sample_id")
            if samples.is_empty():
                raise DataError(f"{path} has no test image: make the manifest again")
            shown = [path, *(file for name, file in self.archives.items() if name == path.stem)]
            folder = self.work / f"{path.stem}-{settled}-{content_hash(shown)}"
            for number, together in enumerate(samples.iter_slices(images_together)):
                kept = folder / f"{number:06}.parquet"
                yield Part(seed, path.stem, together, samples.height, kept)


def gather(prediction: Prediction, into: Path) -> None:
    """Put the finished parts together as `into`/SEED/DATASET.parquet.

    They stay, so that with one more dataset only its images are left to predict; others go.

    Raises:
        DataError: a part is missing, or more images than `evaluation.max_failures` of a dataset
            could not be shown. The next start of the shards then makes what is not whole.
    """
    for note in prediction.work.glob(f"*{DONE}"):
        note.unlink()
    parts = prediction.parts()
    shards = prediction.settings.shards
    if lacking := [number for number, part in enumerate(parts) if not part.finished]:
        numbers = ", ".join(map(str, sorted({number % shards + 1 for number in lacking})))
        raise DataError(
            f"{prediction.work} lacks {len(lacking)} of {len(parts)} parts, of shard {numbers} of "
            f"{shards}: start again, finished parts are kept"
        )
    with atomic_directory(into) as folder:
        for (seed, dataset), some in groupby(parts, lambda part: (part.seed, part.dataset)):
            rows = pl.read_parquet([part.path for part in some])
            images = rows["sample_id"].n_unique()
            require_few_unseen(unseen(rows), images, dataset, prediction.settings.max_failures)
            write_parquet(rows, folder / str(seed) / f"{dataset}.parquet")
        write_digest(folder)
    kept = {part.path.parent for part in parts}
    for path in {*filter(Path.is_dir, prediction.work.iterdir())} - kept:
        shutil.rmtree(path)


def unseen(rows: pl.DataFrame) -> list[str]:
    """Why images of some predictions could not be shown, one by one."""
    return rows.filter(pl.col("error").is_not_null(), rollout=0)["error"].to_list()


def require_few_unseen(
    errors: Sequence[str], images: int, dataset: str, max_failures: float
) -> None:
    """See that no more than `evaluation.max_failures` of a dataset's images have such an error.

    Raises:
        DataError: it names the last of them.
    """
    if len(errors) > max_failures * images:
        raise DataError(
            f"{len(errors)} of {images} images of {dataset} cannot be shown, more than "
            f"evaluation.max_failures {max_failures}: {'; '.join(errors[-5:])}"
        )
