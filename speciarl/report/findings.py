"""What the figures say about the method, in sentences computed from them, in either direction.

Two harmonic means are compared as they are printed, to three decimals: what reads the same is
called level.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from speciarl.config import Params
from speciarl.report.tables import Published, names_of, score_of

ABOVE, LEVEL, BELOW = "above", "level with", "below"
NOT_COMPARABLE = "not comparable with"
UNDEFINED = "\N{EN DASH}"


def printed(metric: float | None) -> str:
    """A metric with three decimals, as everywhere in the report; a dash where undefined."""
    return UNDEFINED if metric is None else f"{metric:.3f}"


def compared(own: float | None, other: float | None) -> str | None:
    """ABOVE, LEVEL or BELOW, as printed; None where one is undefined."""
    if own is None or other is None:
        return None
    difference = round(own, 3) - round(other, 3)
    return LEVEL if abs(difference) < 5e-4 else ABOVE if difference > 0 else BELOW


Seen = Mapping[str, Sequence[str]]
"""The groups that each run was trained on images of."""


def seen_groups(params: Params) -> Seen:
    """What each run was trained on, from the parameters."""
    return {
        name: [
            group
            for group, datasets in params.groups.items()
            if row.method != "none"
            and set(datasets) & set(params.training_sets[row.training_set].datasets)
        ]
        for name, row in params.runs.items()
    }


def headline(scores: pl.DataFrame, runs: Sequence[str], published: Published, seen: Seen) -> str:
    """One sentence: whose HM the method's exceeds in which of the groups it did not train on."""
    method, groups = published.method, unseen_groups(scores, runs, published, seen)
    rivals = _rivals(runs, published)
    if method not in runs:
        return f"No run named {method} takes part, so this report cannot speak about the method."
    if not groups:
        return "No group was scored that none of the compared runs was trained on."
    if not rivals:
        return f"{method} stands alone here: none of its baselines takes part."
    ahead: dict[tuple[int, str, str], list[str]] = {}
    for rival in rivals:
        found = {g: compared(_hm(scores, method, g), _hm(scores, rival, g)) for g in groups}
        ahead.setdefault(_where(found), []).append(rival)
    said = "; ".join(f"{key[1]}{_listed(who)}{key[2]}" for key, who in sorted(ahead.items()))
    return (
        f"In {_listed(groups)}, which it was not trained on, the harmonic mean (HM) of {method} "
        f"{said}."
    )


def group_findings(
    scores: pl.DataFrame, runs: Sequence[str], published: Published, seen: Seen
) -> list[tuple[str, list[str]]]:
    """Per unseen group its name and sentences: the figures, then whether the paper agrees."""
    if published.method not in runs:
        return []
    return [
        (
            group,
            [*_metrics(scores, group, runs, published), *_order(scores, group, runs, published)],
        )
        for group in unseen_groups(scores, runs, published, seen)
    ]


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
    said = [f"{_listed(runs)} on {group}" for group, runs in by_group.items() if runs]
    unseen = [group for group, runs in by_group.items() if not runs]
    sentences = [f"Trained on images of their datasets: {'; '.join(said)}."] if said else []
    if unseen:
        sentences.append(f"No run was trained on images of any dataset in {_listed(unseen)}.")
    return " ".join(sentences)


def miniature_note(parts: Sequence[str]) -> str:
    """Why the figures are no match for the published ones: "images", "policy" or both."""
    what = {
        "images": "rendered images of the benchmarks",
        "policy": "a policy of about a million parameters",
    }
    return (
        f"This is the miniature: {_listed([what[part] for part in parts])}. It can show which run "
        "is ahead of which; its figures are not comparable in absolute terms with the published "
        "ones, which come from photographs and a model of seven billion parameters."
    )


def _metrics(
    scores: pl.DataFrame, group: str, runs: Sequence[str], published: Published
) -> list[str]:
    own = _hm(scores, published.method, group)
    if own is None:
        return [f"The HM of {published.method} is undefined."]
    by_outcome: dict[str, list[str]] = {}
    for rival in _rivals(runs, published):
        other = _hm(scores, rival, group)
        outcome = compared(own, other) or NOT_COMPARABLE
        by_outcome.setdefault(outcome, []).append(f"{rival} ({printed(other)})")
    order = (ABOVE, LEVEL, BELOW, NOT_COMPARABLE)
    said = [f"{how} {_listed(by_outcome[how])}" for how in order if how in by_outcome]
    sentences = [", ".join([f"HM {printed(own)}", *said]) + "."]
    if published.bound in runs:
        bound = _hm(scores, published.bound, group)
        sentences.append(
            f"{published.bound}, chosen among samples with the true class known, has "
            f"{printed(bound)}."
        )
    return sentences


def _order(
    scores: pl.DataFrame, group: str, runs: Sequence[str], published: Published
) -> list[str]:
    """Which comparisons come out as in the paper, which do not."""
    method = published.method
    same: list[str] = []
    other: list[str] = []
    for rival in _rivals(runs, published):
        here = compared(_hm(scores, method, group), _hm(scores, rival, group))
        there = compared(
            published.metric(method, group, "hm"), published.metric(rival, group, "hm")
        )
        if here and there:
            (same if here == there else other).append(rival)
    sentences = []
    if same:
        sentences.append(f"As in the paper against {_listed(same)}.")
    if other:
        sentences.append(f"Not as in the paper against {_listed(other)}.")
    return sentences or ["Nothing here can be held against the paper."]


def _where(found: dict[str, str | None]) -> tuple[int, str, str]:
    """In which groups the method is ahead: a rank, and the words before and after the rivals."""
    ahead = [group for group, how in found.items() if how == ABOVE]
    if not any(found.values()):
        return 3, "cannot be compared with that of ", ""
    if not ahead:
        return 2, "does not exceed that of ", ""
    if len(ahead) == len(found):
        return 0, "exceeds that of ", ""
    return 1, "exceeds that of ", f" only in {_listed(ahead)}"


def _rivals(runs: Sequence[str], published: Published) -> list[str]:
    return [run for run in published.baselines if run in runs]


def _hm(scores: pl.DataFrame, run: str, group: str) -> float | None:
    row = score_of(scores, run, "group", group)
    return row["hm"] if row else None


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
