from pathlib import Path

import polars as pl

from speciarl.cache import VerdictCache
from speciarl.files import write_parquet
from speciarl.precompute import pairs_to_expect, precompute
from speciarl.stage import stage
from speciarl.verifiers.build import build_verifier, classes_of

with stage(snakemake.log[0]):
    taxonomy = pl.read_parquet(snakemake.input.taxonomy)
    verifier = build_verifier(Path(snakemake.input.facts[0]).parent, classes_of(taxonomy))
    store = Path(snakemake.output[0]).with_name("cache.duckdb")
    cache = VerdictCache(store, verifier.identity, "precompute")
    snapshot = precompute(pairs_to_expect(taxonomy), verifier, cache)
    write_parquet(snapshot, Path(snakemake.output[0]))
