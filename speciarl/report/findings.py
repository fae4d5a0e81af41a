"""What the figures say about the method, in sentences computed from them, in either direction.

Two harmonic means are compared as they are printed, to three decimals: what reads the same is
called level.
"""

from collections.abc import Sequence

import polars as pl

from speciarl.report.tables import IN_DOMAIN, Published, names_of, score_of

ABOVE, LEVEL, BELOW = "above", "level with", "below"
NOT_COMPARABLE = "not comparable with"
UNDEFINED = "\N{EN DASH}"


def printed(figure: float | None) -> str:
    """A figure with three decimals, as everywhere in the report; a dash where undefined."""
    return UNDEFINED if figure is None else f"{figure:.3f}"


def compared(own: float | None, other: float | None) -> str | None:
    """ABOVE, LEVEL or BELOW, as printed; None where one is undefined."""
    if own is None or other is None:
        return None
    difference = round(own, 3) - round(other, 3)
    return LEVEL if abs(difference) < 5e-4 else ABOVE if difference > 0 else BELOW


def headline(scores: pl.DataFrame, runs: Sequence[str], published: Published) -> str:
    """One sentence: whose HM the method's exceeds in which of the groups it did not train on."""
    method, groups = published.method, unseen_groups(scores)
    rivals = _rivals(runs, published)
    if method not in runs:
        return f"No run named {method} takes part, so this report cannot speak about the method."
    if not groups:
        return "No group outside the training domain was scored."
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
    scores: pl.DataFrame, runs: Sequence[str], published: Published
) -> list[tuple[str, list[str]]]:
    """Per unseen group its name and sentences: the figures, then whether the paper agrees."""
    if published.method not in runs:
        return []
    return [
        (
            group,
            [*_figures(scores, group, runs, published), *_order(scores, group, runs, published)],
        )
        for group in unseen_groups(scores)
    ]


def unseen_groups(scores: pl.DataFrame) -> list[str]:
    """Groups of datasets that no run of the main table trains on."""
    return [name for name in names_of(scores, "group") if name != IN_DOMAIN]


def _figures(
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
            published.figure(method, group, "hm"), published.figure(rival, group, "hm")
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
