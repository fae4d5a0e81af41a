"""The report's section on the judges of training and evaluation."""

import re

import polars as pl
import pytest

from speciarl.config import VerifierConfig
from speciarl.config.verifiers import Server, ServerModel
from speciarl.report.agreement import judges_compared, judges_differ
from speciarl.report.rendering import render
from speciarl.verdicts import LABELS
from speciarl.verifiers.audit import PREDICTIONS

TRAINED = pl.DataFrame(
    [
        (0, "Herring Gull", "bird", "generic", 7),
        (1, "Herring Gull", "bird", "generic", 2),
        (0, "Herring Gull", "a or b", None, 1),
        (0, "Herring Gull", "gull", "less specific", 3),
        (1, "Herring Gull", "tern", "wrong", 1),
    ],
    schema=PREDICTIONS,
    orient="row",
)


def evaluated(*rows):
    columns = ["class_name", "prediction", "verdict"]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def test_two_judges_are_compared_on_the_pairs_of_both():
    judged = evaluated(
        ("Herring Gull", "Bird.", "generic"),
        ("Herring Gull", "bird", "generic"),
        ("Herring Gull", "gull", "generic"),
        ("Herring Gull", "tern", "wrong"),
        ("Herring Gull", "a or b", "wrong"),
        ("Herring Gull", None, None),
        ("Samoyed", "dog", "generic"),
    )
    found = judges_compared([TRAINED, pl.DataFrame(schema=PREDICTIONS)], [judged, evaluated()])
    # observed 2/3, by chance (1 x 1 + 1 x 2 + 1 x 0) / 9
    assert (found.pairs, found.same, found.kappa) == (3, 2, pytest.approx(0.5))
    page = render("agreement.html.j2", {"agreement": found, "labels": LABELS})
    assert re.search(r"Of 3 pairs.*2 have\s+the same verdict.*0\.500", page, re.DOTALL)
    cells = "".join(f"<td>{n}</td>" for n in (0, 0, 1, 0, 0, 0))
    assert f'<tr><th scope="row">less specific</th>{cells}</tr>' in page
    assert "<td>gull</td><td>less specific</td><td>generic</td><td>3</td>" in page


def test_judges_without_a_pair_in_common_say_so():
    found = judges_compared([TRAINED], [evaluated(("Samoyed", "dog", "generic"))])
    page = render("agreement.html.j2", {"agreement": found, "labels": LABELS})
    assert "No prediction was judged in training and in evaluation" in page


def test_one_judge_is_no_section():
    assert judges_compared([TRAINED], []) is None


MODEL = ServerModel(kind="server", name="judge", revision="1")


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        ({}, False),
        ({"server": Server(base_url="http://elsewhere:2/v1"), "max_failures": 0.5}, False),
        ({"backend": "cascade"}, True),
        ({"model": MODEL.model_copy(update={"revision": "2"})}, True),
    ],
)
def test_judges_differ_by_what_they_are(change, differ):
    server = Server(base_url="http://localhost:1/v1")
    verifier = VerifierConfig(backend="llm", model=MODEL, server=server)
    assert judges_differ(verifier, verifier.model_copy(update=change)) is differ
