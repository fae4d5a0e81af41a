"""What the figures say about the method, in sentences computed from them, in either direction.

Two runs are compared by the 95 % interval of what they differ by on the same images: a mean HM
exceeds another where the whole interval lies above 0. The paper gives points; its order is read
from them, as printed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from speciarl.config import Params
from speciarl.report.tables import AREAS, Published, names_of, score_of

EXCEEDS, LEVEL, BELOW = "exceeds", "is level with", "is below"
NOT_COMPARABLE = "cannot be compared with"
UNDEFINED = "\N{EN DASH}"


class Difference(NamedTuple):
    """What one run's HM exceeds another's by, with its 95 % interval; None where undefined."""

    middle: float | None
    low: float | None
    high: float | None

    @property
    def outcome(self) -> str:
        if self.low is None or self.high is None:
            return NOT_COMPARABLE
        return EXCEEDS if self.low > 0 else BELOW if self.high < 0 else LEVEL

    def __neg__(self) -> "Difference":
        return Difference(*(None if v is None else -v for v in (self.middle, self.high, self.low)))


def printed(metric: float | None) -> str:
    """A metric with three decimals, as everywhere in the report; a dash where undefined."""
    return UNDEFINED if metric is None else f"{metric:z.3f}"


def ranged(low: float | None, high: float | None) -> str:
    """An interval as printed; a dash where undefined."""
    return UNDEFINED if low is None else f"[{printed(low)}, {printed(high)}]"


def stated(middle: float | None, low: float | None, high: float | None) -> str:
    """A metric with its interval, as far as they are defined."""
    return printed(middle) if low is None else f"{printed(middle)} {ranged(low, high)}"


def difference_of(differences: pl.DataFrame, run: str, other: str, name: str) -> Difference:
    """What a run's HM on a group, or on all unseen datasets, exceeds another's by.

    From the table of the score stage (run, other, level, name, difference, low, high), in which
    two runs stand in one of the two orders.
    """
    of_area = differences.filter(pl.col("level").is_in(AREAS), name=name)
    of_area = of_area.select("run", "other", "difference", "low", "high")
    found = {(one, its): Difference(*values) for one, its, *values in of_area.iter_rows()}
    if (other, run) in found:
        return -found[other, run]
    return found.get((run, other), Difference(None, None, None))


Seen = Mapping[str, Sequence[str]]
"""The groups that each run was trained on images of."""


def seen_groups(params: Params) -> Seen:
    """What each run was trained on, from the parameters; ablations aside, which have a table."""
    return {
        name: [
            group
            for group, datasets in params.groups.items()
            if row.method != "none"
            and set(datasets) & set(params.training_sets[row.training_set].datasets)
        ]
        for name, row in params.runs.items()
        if row.like is None
    }


def opening(
    scores: pl.DataFrame, differences: pl.DataFrame, runs: Sequence[str], published: Published
) -> list[str]:
    """What was found in the datasets that no run was trained on: whose HM the method exceeds, what
    that is made of, and how far it is from the bound; only the first where the rest is undefined.
    """
    said = [headline(scores, differences, runs, published)]
    method, base, bound = published.method, published.baselines[0], published.bound
    (name,) = names_of(scores, "overall")[:1] or [""]
    own, before = (score_of(scores, run, "overall", name=name) for run in (method, base))
    if own and before and method in runs and base in runs:
        both = (
            " and ".join(
                f"{metric} {stated(row[m], row[f'{m}_low'], row[f'{m}_high'])}"
                for metric, m in (("Specificity", "specificity"), ("Correctness", "correctness"))
            )
            for row in (own, before)
        )
        said.append(f"There it has {next(both)}; {base}, the policy before training, {next(both)}.")
    if own and method in runs and bound in runs:
        how = _against(differences, method, [bound], name)
        said.append(f"It {how}, which chooses among samples with the true class known.")
    return said


def headline(
    scores: pl.DataFrame, differences: pl.DataFrame, runs: Sequence[str], published: Published
) -> str:
    """One sentence: whose HM the method's exceeds in the datasets that no run was trained on."""
    method, rivals = published.method, _rivals(runs, published)
    if method not in runs:
        return f"No run named {method} takes part, so this report cannot speak about the method."
    if not (unseen := names_of(scores, "overall")):
        return "No dataset was scored that none of the runs was trained on."
    if not rivals:
        return f"{method} stands alone here: none of its baselines takes part."
    own = score_of(scores, method, "overall", name=unseen[0])
    where = f"In the datasets that no run was trained on, the mean HM of {method}"
    if own is None or own["hm"] is None:
        return f"{where} is undefined."
    sure = "" if own["hm_low"] is None else (
        f"95 % interval {printed(own['hm_low'])} to {printed(own['hm_high'])}, "
    )  # fmt: skip
    seeds = f"{own['seeds']} seed{'s' * (own['seeds'] > 1)}"
    said = _against(differences, published.method, rivals, unseen[0], "that of ")
    return f"{where} ({printed(own['hm'])}, {sure}{seeds}) {said}."


def group_findings(
    scores: pl.DataFrame, differences: pl.DataFrame, runs: Sequence[str], published: Published,
    groups: Sequence[str],
) -> list[tuple[str, list[str]]]:  # fmt: skip
    """Per group its name and sentences: the figures, then whether the paper agrees."""
    if published.method not in runs:
        return []
    rivals, found = _rivals(runs, published), []
    for group in groups:
        said = [_metrics(scores, differences, published.method, rivals, group)]
        if published.bound in runs:
            said.append(_bound(scores, published.bound, group))
        found.append((group, [*said, *_order(differences, rivals, published, group)]))
    return found


def unseen_groups(
    scores: pl.DataFrame, runs: Sequence[str], published: Published, seen: Seen
) -> list[str]:
    """Groups that neither the method nor what it is compared with was trained on."""
    compared_runs = [run for run in (published.method, *published.baselines) if run in runs]
    trained = {group for run in compared_runs for group in seen[run]}
    return [name for name in names_of(scores, "group") if name not in trained]


def groups_explained(scores: pl.DataFrame, seen: Seen) -> str:
    """Which runs were trained on images of which groups, and which groups no run has seen."""
    by_group = {
        group: [run for run, groups in seen.items() if group in groups]
        for group in names_of(scores, "group")
    }
    said = [f"{listed(runs)} on {group}" for group, runs in by_group.items() if runs]
    unseen = [group for group, runs in by_group.items() if not runs]
    sentences = [f"Trained on images of their datasets: {'; '.join(said)}."] if said else []
    if unseen:
        sentences.append(f"No run was trained on images of any dataset in {listed(unseen)}.")
    return " ".join(sentences)


def miniature_note(parts: Sequence[str]) -> str:
    """Why the figures are no match for the published ones: "images", "policy" or both."""
    what = {
        "images": "rendered images of the benchmarks",
        "policy": "a policy of about a million parameters",
    }
    return (
        f"This is the miniature: {listed([what[part] for part in parts])}. It can show which run "
        "is ahead of which; its figures are not comparable in absolute terms with the published "
        "ones, which come from photographs and a model of seven billion parameters."
    )


def _metrics(
    scores: pl.DataFrame, differences: pl.DataFrame, method: str, rivals: Sequence[str], group: str
) -> str:
    own = score_of(scores, method, "group", name=group)
    if own is None or own["hm"] is None:
        return f"The HM of {method} is undefined."
    said = f"HM {stated(own['hm'], own['hm_low'], own['hm_high'])}"
    return f"{said}: {_against(differences, method, rivals, group)}." if rivals else f"{said}."


def _bound(scores: pl.DataFrame, bound: str, group: str) -> str:
    row = score_of(scores, bound, "group", name=group) or {}
    hm = printed(row.get("hm"))
    return f"{bound}, chosen among samples with the true class known, has {hm}."


def _order(
    differences: pl.DataFrame, rivals: Sequence[str], published: Published, group: str
) -> list[str]:
    """Which comparisons come out as in the paper, which do not."""
    said: dict[str, list[str]] = {"As": [], "Not as": []}
    stated = published.metric(published.method, group, "hm")
    for rival in rivals:
        here = difference_of(differences, published.method, rival, group).outcome
        theirs = published.metric(rival, group, "hm")
        if here != NOT_COMPARABLE and stated is not None and theirs is not None:
            there = EXCEEDS if stated > theirs else BELOW if stated < theirs else LEVEL
            said["As" if here == there else "Not as"].append(rival)
    found = [f"{how} in the paper against {listed(runs)}." for how, runs in said.items() if runs]
    return found or ["Nothing here can be held against the paper."]


def _against(
    differences: pl.DataFrame, method: str, rivals: Sequence[str], name: str, prefix: str = ""
) -> str:
    """How the method's HM stands to each rival's: what it exceeds first, with the differences."""
    said: dict[str, list[str]] = {}
    for rival in rivals:
        found = difference_of(differences, method, rival, name)
        shown = -found if found.outcome == BELOW else found
        by = stated(*shown)
        how = {NOT_COMPARABLE: "", LEVEL: f" (difference {by})"}.get(found.outcome, f" by {by}")
        said.setdefault(found.outcome, []).append(f"{prefix}{rival}{how}")
    order = (EXCEEDS, LEVEL, BELOW, NOT_COMPARABLE)
    return "; ".join(f"{how} {listed(said[how])}" for how in order if how in said)


def _rivals(runs: Sequence[str], published: Published) -> list[str]:
    return [run for run in published.baselines if run in runs]


def listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
