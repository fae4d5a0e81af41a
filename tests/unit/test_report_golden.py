"""The whole page at a small input, as it was last reviewed.

Charts stand there as their specifications with all data, so that no font or drawing library has a
say. After a wanted change: `python -m tests.unit.test_report_golden`, then review the difference.
"""

import html
import re
from pathlib import Path
from unittest.mock import patch

import polars as pl
import yaml

from speciarl.report import charts
from speciarl.report.economy import Economy
from speciarl.report.examples import Example, Said
from speciarl.report.page import Evidence, render_page
from speciarl.verifiers.audit import PREDICTIONS as KEPT
from tests.report_input import (
    GROUPS,
    MEASURES,
    PREDICTIONS,
    PUBLISHED,
    ROLLOUTS,
    RUNS,
    SEEN,
    STOPS,
    WEIGHTS,
    metrics,
    scored,
)

GOLDEN = Path(__file__).parents[1] / "data" / "report.html"


def specification(spec: dict) -> str:
    rest = {key: value for key, value in spec.items() if key not in ("$schema", "config")}
    text = yaml.safe_dump(rest, default_flow_style=None, width=200)
    return f'<svg version="1.1" xmlns="http://www.w3.org/2000/svg">\n{html.escape(text)}</svg>'


def golden() -> str:
    """The page, its style sheet and its scripts left out."""
    kept = [
        (step, "Herring Gull", prediction, verdict, count)
        for step in range(10)
        for prediction, verdict, count in [
            ("bird", "generic", 3), ("gull", "less specific", step + 1), ("gull or <b>", None, 1),
        ]
    ]  # fmt: skip
    judged = [("Herring Gull", "Bird.", "generic"), ("Herring Gull", "gull", "generic")]
    groups = {**GROUPS, "stanford_cars": "very fine-grained"}
    scores, differences = scored(PREDICTIONS, groups, list(groups)[1:])
    evidence = Evidence(
        scores=scores,
        differences=differences,
        training={
            "sft": metrics(5, rewards=False, seeds=(42, 43)),
            "speciarl": metrics(6, rewards=True, seeds=(42, 43)),
        },
        predictions={"speciarl": pl.DataFrame(kept, schema=KEPT, orient="row")},
        judged=[pl.DataFrame(judged, schema=["class_name", "prediction", "verdict"], orient="row")],
        runs=RUNS,
        weights=WEIGHTS,
        published=PUBLISHED,
        seen=SEEN,
        rollouts=ROLLOUTS,
        measures=MEASURES,
        stops=STOPS,
        miniature=("images", "policy"),
        examples=[
            Example(
                "cub200",
                "Herring <Gull>",
                "data:image/webp;base64,UklGRg==",
                [
                    Said("zero_shot", "gull", "less specific", "same"),
                    Said("sft", None, "unparsable", "lost"),
                    Said("speciarl", "herring gull", "specific", "gained"),
                    Said("best_of_64", "herring gull", "failed", None),
                ],
            ),
            Example("food101", "ramen", None, [Said("sft", "soup", "generic", "same")]),
        ],
        economy=[Economy("training", 9000, 3000, 200, 1.5), Economy("evaluation", 50, 0, 0, None)],
    )
    provenance = {"Versions": {"speciarl": "0"}, "Parameters": {"grpo": {"loss": "<dapo>"}}}
    with patch.object(charts.vl_convert, "vegalite_to_svg", specification):
        page = render_page(evidence, provenance)
    return re.sub(r"(?s)<(style|script)\b.*?</\1>", r"<\1></\1>", page)


def test_the_page_is_the_golden_one():
    assert golden() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
