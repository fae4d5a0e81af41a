from pathlib import Path

import polars as pl

from speciarl.cache import VerdictCache
from speciarl.cache.exchange import own_store
from speciarl.cache.transfer import PAID_FOR
from speciarl.config import TrainingVerifierConfig
from speciarl.files import write_parquet
from speciarl.stage import section, stage
from speciarl.verifiers.factory import build_verifier
from speciarl.verifiers.precompute import pairs_to_expect, precompute

name = f"precompute-{snakemake.wildcards.domain}"
with (
    stage(snakemake.log[0], gpus=snakemake.resources.gpu),
    # what cost nothing is in the snapshot
    own_store(snakemake.params.store, "precompute", name, only=PAID_FOR) as store,
):
    relations = pl.read_parquet(snakemake.input.taxonomy)
    settings = section(snakemake.params, "verifier", TrainingVerifierConfig)
    facts = Path(snakemake.input.facts[0]).parent
    verifier = build_verifier(settings, facts, snakemake.params["classes"])
    cache = VerdictCache(store, verifier.identity, "precompute", settings.store_timeout)
    rules, *_ = verifier.verifiers
    pairs = pairs_to_expect(relations, rules.taxonomy)
    snapshot = precompute(pairs, verifier, cache, settings, settings.precompute_model)
    write_parquet(snapshot, Path(snakemake.output[0]))
