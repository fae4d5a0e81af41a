"""The taxonomy of all benchmarks on one core: its table of relations, and judging pairs by text.

`python bench/taxonomy.py` prints the figures that the README states; with `--classes 10000` those
of a made-up tree of life of so many species, three terms each; with `--precompute` those of putting
every verdict of the benchmarks into a store.
"""

import argparse
import csv
import io
import os
import random
import resource
import tempfile
import time
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is loaded

from speciarl.cache import VerdictCache
from speciarl.config import VerifierConfig
from speciarl.taxonomy import Taxonomy
from speciarl.taxonomy.facts import ClassEntry, Entry, Facts, load_facts
from speciarl.taxonomy.table import every_pair
from speciarl.verifiers.cascade import Cascade
from speciarl.verifiers.explain import PairJudge, judge_csv
from speciarl.verifiers.precompute import pairs_to_expect, precompute
from speciarl.verifiers.rules import Rules
from speciarl.verifiers.taxonomy import Taxonomic

FACTS = Path(__file__).parents[1] / "data/taxonomies"
PAIRS = 20_000


SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


def word(number: int) -> str:
    """A made-up word of three syllables, another for each number."""
    size = len(SYLLABLES)
    return "".join(SYLLABLES[number // size**place % size] for place in range(3)).capitalize()


def tree_of_life(species: int) -> Facts:
    """Orders, families, genera and species, ten in each; a species has three names."""
    ranks = ("order", "family", "genus")
    terms: dict[str, Entry] = {}
    for depth, rank in enumerate(ranks):
        size = 10 ** (len(ranks) - depth)
        for number in range(-(-species // size)):
            over = (f"{word(number // 10)} {ranks[depth - 1]}",) if depth else ()
            terms[f"{word(number)} {rank}"] = Entry(**{"far" if depth == 1 else "near": over})
    classes = {
        f"{word(n)} {word(n + 7919)}": ClassEntry(
            latin=(f"{word(n // 10 + 50_000)} {word(n + 100_000).lower()}",),
            near=(f"{word(n // 10)} genus",),
            synonyms=(f"{word(n + 200_000)} thing",),
        )
        for n in range(species)
    }
    return Facts(dataset="life", root=("animal",), terms=terms, classes=classes)


def made_up(species: int) -> None:
    common = load_facts(FACTS / "common.yaml", "common")
    started = time.process_time()
    taxonomy = Taxonomy([common, tree_of_life(species)])
    read = time.process_time()
    table = taxonomy.table(taxonomy.classes)
    tabled = time.process_time()
    own = table.drop_nulls("class_name").height
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{species} classes, {table.height - own} terms: taxonomy {read - started:.1f} CPU s, "
        f"table {tabled - read:.1f}, {own / species:.0f} rows of each class, peak {peak:.2f} GB"
    )


def precomputing(taxonomy: Taxonomy) -> None:
    """As the stage `precompute_verdicts` does for each dataset, but for reading the facts."""
    verifier = Cascade([Rules(taxonomy), Taxonomic(taxonomy)])
    total, seconds = 0, 0.0
    for dataset, names in taxonomy.classes.items():
        relations = taxonomy.table({dataset: names})
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            cache = VerdictCache(Path(folder) / "cache.duckdb", verifier.identity, "bench")
            pairs = pairs_to_expect(relations, taxonomy)
            found = precompute(pairs, verifier, cache, VerifierConfig())
            taken = time.process_time() - started
        print(f"{dataset}: {found.height} verdicts in {taken:.1f} CPU s")
        total, seconds = total + found.height, seconds + taken
    print(f"{total} verdicts precomputed and stored in {seconds:.0f} CPU s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int)
    parser.add_argument("--precompute", action="store_true")
    options = parser.parse_args()
    if options.classes:
        made_up(options.classes)
        return
    if options.precompute:
        precomputing(Taxonomy.load_all(FACTS))
        return
    started = time.process_time()
    taxonomy = Taxonomy.load_all(FACTS)
    loaded = time.process_time()
    table = taxonomy.table(taxonomy.classes)
    tabled = time.process_time()
    spelled = every_pair(table)
    pairs = random.Random(0).sample(range(spelled.height), PAIRS)
    sample = spelled[sorted(pairs)].select("dataset", "class_name", "term").rows()
    asking = time.process_time()
    for dataset, class_name, term in sample:
        taxonomy.relation(class_name, term, dataset)
    asked = time.process_time()
    batch = _batch_seconds(taxonomy, sample)

    one_by_one = (asked - asking) / PAIRS * spelled.height
    classes, terms = sum(map(len, taxonomy.classes.values())), table["term"].n_unique()
    print(f"facts read in {loaded - started:.2f} s")
    print(
        f"{classes} classes against the {terms} terms of their datasets, "
        f"{spelled.height} relations in {table.height} rows: "
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
        started = time.process_time()
        judge_csv(path, io.StringIO(), judge)
        return time.process_time() - started


if __name__ == "__main__":
    main()
