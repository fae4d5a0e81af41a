"""The taxonomy of all benchmarks on one core: its table of relations, and judging pairs by text.

`python bench/taxonomy.py` prints the figures that the README states.
"""

import csv
import io
import os
import random
import tempfile
import time
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is loaded

from speciarl.taxonomy import Taxonomy
from speciarl.verifiers.explain import PairJudge, judge_csv

FACTS = Path(__file__).parents[1] / "data/taxonomies"
PAIRS = 20_000


def main() -> None:
    started = time.perf_counter()
    taxonomy = Taxonomy.load_all(FACTS)
    loaded = time.perf_counter()
    table = taxonomy.table(taxonomy.classes)
    tabled = time.perf_counter()
    pairs = random.Random(0).sample(range(table.height), PAIRS)
    sample = table[sorted(pairs)].select("dataset", "class_name", "term").rows()
    asking = time.perf_counter()
    for dataset, class_name, term in sample:
        taxonomy.relation(class_name, term, dataset)
    asked = time.perf_counter()
    batch = _batch_seconds(taxonomy, sample)

    one_by_one = (asked - asking) / PAIRS * table.height
    classes, terms = sum(map(len, taxonomy.classes.values())), table["term"].n_unique()
    print(f"facts read in {loaded - started:.2f} s")
    print(
        f"{classes} classes against the {terms} terms of their datasets, {table.height} relations: "
        f"{tabled - loaded:.2f} s by joins, {one_by_one:.0f} s one by one, "
        f"ratio {one_by_one / (tabled - loaded):.0f}"
    )
    print(f"{PAIRS} pairs of a CSV judged in {batch:.2f} s: {PAIRS / batch:.0f} a second")


def _batch_seconds(taxonomy: Taxonomy, sample: list[tuple[str, str, str]]) -> float:
    judge = PairJudge(taxonomy)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.csv"
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("dataset", "class", "prediction"))
            rows.writerows((d, name, f"a photo of a {term}") for d, name, term in sample)
        started = time.perf_counter()
        judge_csv(path, io.StringIO(), judge)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
