"""Asks a verifier for pairs that the store lacks, each pair once over all threads and processes.

Whoever claims a pair first asks for it; the others wait until the claim is free and look into the
store. If they find nothing there, because the owner died or its verifier failed on the pair, they
ask themselves. Nobody waits while holding a claim, so that nobody waits for ever.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np

from speciarl.cache.lock import Claims
from speciarl.cache.verdict_cache import VerdictCache, WriteBehind
from speciarl.errors import VerifierError
from speciarl.verdicts import Judgment, Pair
from speciarl.verifiers.base import Verifier

POLL_SECONDS = 0.05
BATCH = 8192  # claimed together: the kernel looks through all claims that are held for each new one
PATIENCE_SECONDS = 900.0  # an owner that gives nothing for so long is passed over: asked twice


@dataclass
class Asked:
    """What became of some pairs; `asked` were put to the verifier, for `seconds` in all."""

    judged: dict[Pair, Judgment] = field(default_factory=dict)
    asked: int = 0
    seconds: float = 0.0


def ask_once(
    cache: VerdictCache,
    verifier: Verifier,
    pairs: Sequence[Pair],
    keys: np.ndarray,
    patience: float = PATIENCE_SECONDS,
) -> Asked:
    """A judgment of each of some distinct pairs, of these keys (n x 2), stored before this returns.

    Raises:
        VerifierError: the verifier broke off or left a pair out; what it gave before is stored.
        CacheError: the store cannot be written.
    """
    asked = Asked()
    for start in range(0, len(pairs), BATCH):
        batch = slice(start, start + BATCH)
        left = dict(zip(pairs[batch], keys[batch], strict=True))
        _ask_until_judged(cache, verifier, left, patience, asked)
    return asked


def _ask_until_judged(
    cache: VerdictCache,
    verifier: Verifier,
    left: Mapping[Pair, np.ndarray],
    patience: float,
    asked: Asked,
) -> None:
    deadline = time.monotonic() + patience
    while left:
        with Claims(cache.path) as claims:
            mine = left
            if time.monotonic() < deadline:
                acquired = claims.acquire(np.stack(list(left.values())))
                mine = dict(compress(left.items(), acquired))
            if mine:
                _settle(cache, verifier, mine, claims, asked)
        before = len(left)
        left = {pair: key for pair, key in left.items() if pair not in asked.judged}
        if len(left) < before:
            deadline = time.monotonic() + patience
        if left:
            time.sleep(POLL_SECONDS)


def _settle(
    cache: VerdictCache,
    verifier: Verifier,
    mine: Mapping[Pair, np.ndarray],
    claims: Claims,
    asked: Asked,
) -> None:
    """Judge claimed pairs; first look whether somebody has stored them before the claim."""
    cache.refresh()
    stored = zip(mine, cache.find(np.stack(list(mine.values()))), strict=True)
    asked.judged.update((pair, judgment) for pair, judgment in stored if judgment)
    missing = [pair for pair in mine if pair not in asked.judged]
    if not missing:
        return
    started = time.perf_counter()
    asked.asked += len(missing)

    def store(judged: list[tuple[Pair, Judgment]]) -> None:
        distinct = dict(judged)
        keys = np.stack([mine[pair] for pair in distinct])
        cache.put(distinct, keys)
        claims.release(keys)

    writing = WriteBehind[tuple[Pair, Judgment]](store)
    try:
        for pair, judgment in verifier.judge(missing):
            writing.add((pair, judgment))
            asked.judged[pair] = judgment
        asked.seconds += time.perf_counter() - started
    finally:
        writing.flush()  # what was paid for is kept, also where the verifier breaks off
    left_out = [pair for pair in missing if pair not in asked.judged]
    if left_out:
        raise VerifierError(f"the verifier gave no judgment on {left_out[0]!r}: see its log")
