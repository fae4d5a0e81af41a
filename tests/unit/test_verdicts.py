from itertools import pairwise

from speciarl.verdicts import LABELS, Verdict


def test_labels_are_the_six_in_their_order():
    assert LABELS == (
        "wrong", "abstain", "generic", "less specific", "specific", "more specific",
    )  # fmt: skip
    assert all(low < high for low, high in pairwise(Verdict))
    assert Verdict("less specific") is Verdict.LESS_SPECIFIC


def test_correct_begins_at_generic():
    assert [v.value for v in Verdict if v.correct] == list(LABELS[2:])
