"""Verdicts known before any training: every class against every term of its dataset."""

import logging

import polars as pl

from speciarl.cache import VerdictCache
from speciarl.judging import verdict_table
from speciarl.text import normalise
from speciarl.verifiers.base import Pair, Verifier

log = logging.getLogger(__name__)

ABSTENTIONS = ("none", "unknown")
BATCH = 10_000  # pairs judged and stored together, so that an interruption loses little


def pairs_to_expect(taxonomy: pl.DataFrame) -> list[Pair]:
    """Each class with every term of its dataset and the usual abstentions, sorted."""
    terms = taxonomy.select("class_name", "term").iter_rows()
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
    judged = {}
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        found = dict(zip(batch, cache.get(batch), strict=True))
        missing = [pair for pair, judgement in found.items() if judgement is None]
        asked = dict(zip(missing, verifier.judge(missing), strict=True))
        cache.put(asked)
        judged.update(found | asked)
        log.info("%d of %d pairs, %d asked", len(judged), len(pairs), len(missing))
    return verdict_table(judged)
