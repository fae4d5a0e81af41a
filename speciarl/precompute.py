"""Verdicts known before any training: every class against every term of its dataset."""

import logging

import polars as pl

from speciarl.cache import VerdictCache
from speciarl.judging import CachedVerifier, verdict_table
from speciarl.text import normalise
from speciarl.verdicts import Verdict
from speciarl.verifiers.base import Judgement, Pair, Verifier

log = logging.getLogger(__name__)

ABSTENTIONS = ("none", "unknown")
BATCH = 10_000  # pairs judged and stored together, so that an interruption loses little


def pairs_to_expect(taxonomy: pl.DataFrame) -> list[Pair]:
    """Each class with the answers to expect, sorted.

    These are the terms of its dataset that are true of some class in use, and the usual
    abstentions; a term that fits none of them is judged when somebody says it.
    """
    true = taxonomy.filter(pl.col("verdict") != Verdict.WRONG.value).select("dataset", "term")
    expected = taxonomy.join(true.unique(), on=["dataset", "term"], how="semi")
    terms = expected.select("class_name", "term").iter_rows()
    pairs = {Pair(name, normalise(term)) for name, term in terms}
    names = taxonomy["class_name"].unique().to_list()
    pairs |= {Pair(name, answer) for name in names for answer in ABSTENTIONS}
    return sorted(pair for pair in pairs if pair.answer)


def precompute(taxonomy: pl.DataFrame, verifier: Verifier, cache: VerdictCache) -> pl.DataFrame:
    """Put the verdicts of all expected pairs into the store; those it has are not asked again.

    Returns:
        class, prediction, verdict, decided_by: the snapshot, sorted.
    """
    pairs = pairs_to_expect(taxonomy)
    source = CachedVerifier(verifier, cache)
    judged: dict[Pair, Judgement] = {}
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        judgements, counts = source.judge(batch)
        judged.update(zip(batch, judgements, strict=True))
        log.info("%d of %d pairs, %d asked", len(judged), len(pairs), counts.asked)
    return verdict_table(judged)
