"""From TRL's completions to rewards: group by row, look up verdicts, reward each group.

TRL calls the reward function with its own process's slice of a generation batch. A group must
lie on one process (see `grpo.check_groups`). The first process looks up, asks and writes for
all; the others get the verdicts from it, and whatever fails there is raised on every process.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict

from trl.rewards import get_soft_overlong_punishment

from speciarl.answers import Which, count_tagged, extract_prediction, normalize, unwrap
from speciarl.config import Grpo
from speciarl.rewards import Noise, Reward
from speciarl.schemas import COUNTED
from speciarl.training.processes import ALONE, Processes
from speciarl.verdicts import OUTCOMES, Judgment, Pair, reason, require_few_failures
from speciarl.verifiers.cached import CachedVerifier, Lookups

NOISELESS = Noise()


def group_rewards(
    rows: Sequence[int],
    pairs: Sequence[Pair | None],
    judgments: dict[Pair, Judgment],
    reward: Reward,
    noise: Noise = NOISELESS,
) -> list[float | None]:
    """One reward per rollout.

    Args:
        rows: the row of each rollout; rollouts of one row are one group.
        pairs: what was judged, None for an output without a parsable prediction.

    Returns:
        Rewards in order; None for every rollout of a group in which the verifier failed, which
        takes the group out of the update.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[row].append(place)
    rewards: list[float | None] = [None] * len(rows)
    for places in groups.values():
        group = [pairs[i] for i in places]
        verdicts = [judgments[pair].verdict if pair else None for pair in group]
        if any(pair and verdict is None for pair, verdict in zip(group, verdicts, strict=True)):
            continue
        rewarded = reward(noise.disturb(rows[places[0]], verdicts))
        for place, value in zip(places, rewarded, strict=True):
            rewards[place] = value
    return rewards


Penalty = Callable[[Sequence[Sequence[int]]], list[float]]


def overlong_penalty(settings: Grpo) -> Penalty | None:
    """What each completion's length, given its tokens, adds to its reward; None where nothing.

    0 until `overlong_buffer` tokens are left of `max_new_tokens`, from there linearly to -1 (DAPO,
    arXiv 2503.14476, equation 13).
    """
    if settings.overlong_buffer is None:
        return None
    return get_soft_overlong_punishment(settings.max_new_tokens, settings.overlong_buffer)


class SpecificityReward:
    """The reward function given to TRL; keeps one row of counts per step.

    Also kept is what was answered, one row (step, class, prediction, verdict, count) for each
    prediction and class of a call. A step with dynamic sampling has several calls.

    Args:
        source: cached verifier; used on the first process only, None on the others.
        max_failures: share of the lookups without a verdict above which the run stops.
        answer_tag: of several tagged predictions in a completion, the one that counts.
        penalty: added to rewards, whatever the verdicts.
        noise: on the verdicts, where they are rewarded; what is counted and kept has none.
    """

    __name__ = "specificity"  # TRL names its logs after the function

    def __init__(
        self,
        source: CachedVerifier | None,
        reward: Reward,
        max_failures: float,
        processes: Processes = ALONE,
        answer_tag: Which = "first",
        penalty: Penalty | None = None,
        noise: Noise = NOISELESS,
    ) -> None:
        self.source = source
        self.reward = reward
        self.max_failures = max_failures
        self.processes = processes
        self.answer_tag = answer_tag
        self.penalty = penalty
        self.noise = noise
        self.rows: list[dict] = []
        self.predictions: list[tuple[int, str, str, str | None, int]] = []
        self._given: list[float] = []

    def __call__(
        self,
        completions,
        row: list[int],
        class_name: list[str],
        trainer_state,
        completion_ids=(),
        log_metric: Callable[[str, float], None] | None = None,
        **_: object,
    ) -> list[float | None]:
        texts = [turns[0]["content"] for turns in completions]
        predictions = [extract_prediction(text, self.answer_tag) for text in texts]
        several = [sum(count_tagged(text) > 1 for text in texts)]
        pairs = [
            None if prediction is None else Pair(name, normalize(prediction), unwrap(prediction))
            for name, prediction in zip(class_name, predictions, strict=True)
        ]
        everyone = self.processes.gather(pairs)
        step = trainer_state.global_step
        judgments, counts = self._verdicts(step, [pair for pair in everyone if pair])
        rewards = group_rewards(row, pairs, judgments, self.reward, self.noise)
        if self.penalty:
            both = zip(rewards, self.penalty(completion_ids), strict=True)
            rewards = [None if reward is None else reward + more for reward, more in both]
        given = self.processes.gather(rewards)
        several = self.processes.gather(several)
        self._note(step, everyone, judgments, given, counts, sum(several))
        noted = self.rows[-1]
        noted["judge_seconds"] = noted.get("judge_seconds", 0.0) + counts.judge_seconds
        if log_metric:  # for TRL's own log, and whoever it reports to
            drawn = sum(noted[name] for name in OUTCOMES)
            for name in OUTCOMES:
                log_metric(f"share/{name}", noted[name] / drawn)
            for name in ("hits", "misses", "judge_seconds"):
                log_metric(name, noted[name])
        return rewards

    def note_groups(self, **counts: int) -> None:
        """What became of the groups of the step that was rewarded last (`schemas.GROUPS`)."""
        self.rows[-1] |= counts

    def _verdicts(self, step: int, pairs: list[Pair]) -> tuple[dict[Pair, Judgment], Lookups]:
        def ask() -> tuple[dict[Pair, Judgment], Lookups]:
            assert self.source
            judged, counts = self.source.judge(pairs)
            self.source.cache.note_lookup(step=step, **asdict(counts))
            return judged, counts

        return self.processes.by_first(ask)

    def _note(self, step, pairs, judgments, rewards, counts: Lookups, several: int) -> None:
        said = Counter(pair for pair in pairs if pair)
        self.predictions += [
            (step, *pair, v.value if (v := judgments[pair].verdict) else None, count)
            for pair, count in said.items()
        ]
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step, "reward": None, **dict.fromkeys(COUNTED, 0)})
            self._given = []
        row = self.rows[-1]
        self._given += [value for value in rewards if value is not None]
        row["reward"] = sum(self._given) / len(self._given) if self._given else None
        verdicts = [judgments[pair].verdict if pair else None for pair in pairs]
        counted = Counter(v.name.lower() for v in verdicts if v)
        counted.update(
            unparsable=sum(pair is None for pair in pairs),
            several_tagged=several,
            failed=counts.failures,
            hits=counts.hits,
            misses=counts.misses,
        )
        for name, count in counted.items():
            row[name] += count
        looked_up = sum(r["hits"] + r["misses"] for r in self.rows)
        failed = sum(r["failed"] for r in self.rows)
        why = reason(judgments.values())
        require_few_failures(failed, looked_up, "predictions", self.max_failures, why)
