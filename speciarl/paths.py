"""Where things lie in a project: relative to its folder, in which commands and stages run."""

from pathlib import Path

PROJECT = Path()
"""What the manifests' references to images are relative to."""

DATA = Path("data")
RAW = DATA / "raw"
FACTS = DATA / "taxonomies"
MANIFESTS = DATA / "manifests"
TAXONOMY = DATA / "taxonomy"
"""The relations built from the facts, a table per dataset."""
SAMPLES = DATA / "training"
"""The images of each training set."""
PRECOMPUTED = DATA / "verdicts/precomputed"
STORE = DATA / "verdicts/cache.duckdb"
PAID = DATA / "verdicts/paid.parquet"
"""What a new store begins with."""
EXCHANGE = DATA / "verdicts/exchange"
"""What jobs on nodes with a store of their own tell one another."""

MODELS = Path("models")
"""The base policy, and the adapters of each run."""
LOGS = Path("logs")

RESULTS = Path("results")
TRAINING = RESULTS / "training"
LIVE = RESULTS / "live"
"""What trainings show while they run; no artifact."""
VERDICTS = RESULTS / "verdicts"
MAIN_TABLE = RESULTS / "tables/main.csv"

WORK = Path("work")
"""What unfinished jobs go on from; finished seeds and predictions, by what they were made from."""

MADE = (DATA, RESULTS, WORK, MODELS, LOGS, Path("benchmarks"))
"""Folders that stages fill."""
