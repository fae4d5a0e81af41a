"""The facts of the repository, loaded once for all tests: that takes seconds."""

from functools import cache

from speciarl.taxonomy import Taxonomy
from speciarl.verifiers.explain import PairJudge


@cache
def taxonomy() -> Taxonomy:
    return Taxonomy.load_all()


@cache
def judge() -> PairJudge:
    """Rules and taxonomy."""
    return PairJudge(taxonomy())
