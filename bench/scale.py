"""What grows with the images: steps that hold a whole dataset, or the rows of all runs, at once.

    python bench/scale.py                       # 30,000 and 300,000 images of one dataset
    python bench/scale.py --images 1000000

Prints processor seconds and memory, each in a process of its own; docs/scale.md goes on from there.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from scores import write_judged

from speciarl.datasets.sampling import sample_training
from speciarl.evaluation.intervals import REPLICATES, drawn_sums
from speciarl.evaluation.scores import read_judged

CLASSES = 1000
SIZE = 3000  # of a training set
RUNS = 6  # of the main table


def select(images: int) -> Callable[[], object]:
    """A training set of a manifest."""
    number = pl.int_range(images, eager=True)
    manifest = pl.DataFrame({"number": number, "class_id": number % CLASSES}).select(
        pl.format("life/train/{}.jpg", "number").alias("sample_id"),
        "class_id",
        split=pl.lit("train"),
    )
    return lambda: sample_training(
        {"life": manifest}, datasets=["life"], size=SIZE, balanced=False, seed=0
    )


def bootstrap(images: int) -> Callable[[], object]:
    """The replicates of one run: whether each image counts, is correct, and its weight."""
    outcomes = np.random.default_rng(0).random((images, 1, 3)).round()
    return lambda: drawn_sums(outcomes, REPLICATES, np.random.default_rng(0))


def collect(images: int) -> Callable[[], object]:
    """The judged rows of all runs at once, as the report does where the two judges differ."""
    folder = Path(tempfile.mkdtemp())
    write_judged(folder, images * RUNS, RUNS, 1)
    return lambda: read_judged(folder.iterdir()).collect()


def measure(step: Callable[[int], Callable[[], object]], images: int) -> None:
    work = step(images)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    work()
    seconds = time.process_time() - started
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{step.__name__:10}{images:>10,} images{seconds:8.1f} CPU s{megabytes:8.0f} MB", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[30_000, 300_000])
    spawn = multiprocessing.get_context("spawn")
    for images in parser.parse_args().images:
        for step in (select, bootstrap, collect):
            process = spawn.Process(target=measure, args=(step, images))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
