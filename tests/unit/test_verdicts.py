import hashlib
import pickle
from itertools import pairwise

import pytest

from speciarl.errors import VerifierError
from speciarl.verdicts import (
    LABELS,
    UNDECIDED,
    Failure,
    FailureKind,
    Judgment,
    Pair,
    Verdict,
    fingerprint,
    reason,
    require_few_failures,
)


def test_labels_are_the_six_in_their_order():
    assert LABELS == (
        "wrong", "abstain", "generic", "less specific", "specific", "more specific",
    )  # fmt: skip
    assert all(low < high for low, high in pairwise(Verdict))
    assert Verdict("less specific") is Verdict.LESS_SPECIFIC


def test_correct_begins_at_generic():
    assert [v.value for v in Verdict if v.correct] == list(LABELS[2:])


@pytest.mark.parametrize(
    ("failed", "total", "share", "stops"),
    [
        (1, 2, 0.5, False),
        (1, 2, 0.49, True),
        (0, 9, 0.0, False),
        (1, 9, 0.0, True),
        (0, 0, 0, False),
    ],
)
def test_more_failures_than_allowed_are_one_line(failed, total, share, stops):
    if not stops:
        require_few_failures(failed, total, "pairs", share, "no reply")
        return
    with pytest.raises(VerifierError) as raised:
        require_few_failures(failed, total, "pairs", share, "no reply")
    assert str(raised.value) == (
        f"{failed} of {total} pairs have no verdict, more than max_failures {share} (no reply): "
        "see that the verifier can be reached, then start again, what was done so far is kept"
    )


def test_pairs_of_one_normal_form_are_one_however_written():
    one, other = Pair("Samoyed", "pug", "PUG!"), Pair("Samoyed", "pug")
    assert one == other == ("Samoyed", "pug") and len({one, other, ("Samoyed", "pug")}) == 1
    assert (one.written, other.written) == ("PUG!", "pug")
    assert dict.fromkeys([one, other]).popitem()[0].written == "PUG!"


def test_another_process_gets_a_pair_as_it_was_written():
    sent = pickle.loads(pickle.dumps([Pair("Samoyed", "pug", "PUG!"), Pair("Samoyed", "pug")]))
    assert [(pair, pair.written) for pair in sent] == [
        (("Samoyed", "pug"), "PUG!"), (("Samoyed", "pug"), "pug"),
    ]  # fmt: skip


def test_the_reason_is_the_first_failure_of_those_that_were_asked():
    def failed(kind, message):
        return Judgment(None, failure=Failure(kind, message))

    skipped = failed(FailureKind.NOT_ASKED, "not asked after the others")
    late, cut = failed(FailureKind.TIMED_OUT, "no reply"), failed(FailureKind.TIMED_OUT, "cut off")
    decided = Judgment(Verdict.WRONG, "taxonomy")
    assert reason([decided, skipped, UNDECIDED, late, cut]) == "no reply"
    assert reason([decided, skipped]) == "not asked after the others"
    assert reason([decided, UNDECIDED]) == reason([]) == "no failure"


def test_a_fingerprint_is_of_the_content_in_whatever_order():
    rules = {"rules": "één", "facts": [1, 2]}
    content = '{"facts": [1, 2], "rules": "één"}'.encode()
    expected = hashlib.blake2b(content, digest_size=8).hexdigest()
    assert fingerprint(rules) == fingerprint(dict(reversed(rules.items()))) == expected
    assert fingerprint(rules | {"facts": [2, 1]}) != expected
