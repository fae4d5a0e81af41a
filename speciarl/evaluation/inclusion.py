"""Whether a language model finds the class in what was said: LLM inclusion (lmms-owc)."""

from collections.abc import Iterable, Mapping

from speciarl.cache import VerdictCache
from speciarl.cache.exchange import own_store
from speciarl.config import Measures
from speciarl.evaluation.measures import Inclusion
from speciarl.verdicts import Pair, reason, require_few_failures
from speciarl.verifiers.cached import CachedVerifier
from speciarl.verifiers.factory import build_model

RUN = "score"  # noted beside the replies in the store


def inclusion_by(settings: Measures, store: Mapping[str, str]) -> Inclusion:
    """Asks `measures.model` for each pair that the verdict store has no reply for: 1 is kept there
    as "specific" and 0 as "wrong". The authors count any other reply as 0; here it is a failure.

    Args:
        store: as `own_store` takes it.

    Raises:
        VerifierError: a larger share than `measures.max_failures` has no reply.
    """

    def ask(pairs: Iterable[Pair]) -> dict[Pair, bool | None]:
        assert settings.model is not None
        judge = build_model(settings.model, settings.server)
        with own_store(store, RUN, RUN) as path:
            cache = VerdictCache(path, judge.identity, RUN, settings.store_timeout)
            judged, _ = CachedVerifier(judge, cache).judge(pairs)
            cache.flush()
        failed = sum(one.verdict is None for one in judged.values())
        why = reason(judged.values())
        what = "predictions whose inclusion was asked for"
        require_few_failures(failed, len(judged), what, settings.max_failures, why)
        return {p: None if j.verdict is None else j.verdict.correct for p, j in judged.items()}

    return ask
