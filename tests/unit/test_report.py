"""The report from small made-up scores: tables that add up, and a page that says what is."""

import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from speciarl.evaluation.metrics import score
from speciarl.report import build_report
from speciarl.report.findings import compared, group_findings, headline
from speciarl.report.tables import (
    OUTCOMES,
    count_table,
    dataset_table,
    load_published,
    main_table,
)
from speciarl.report.terminal import WIDTH, main_table_text
from speciarl.verdicts import LABELS, SPECIFICITY_WEIGHTS

PUBLISHED = load_published()
RUNS = ["zero_shot", "sft", "speciarl", "best_of_64"]
GROUPS = {"cub200": "in-domain", "flowers102": "fine-grained", "food101": "fine-grained"}
WEIGHTS = {v.name.lower(): weight for v, weight in SPECIFICITY_WEIGHTS.items()}

# Answers by run and dataset, one per picture; None is unparsable, "failed" one without a verdict.
ANSWERS = {
    "zero_shot": ["generic", "generic", "generic", "less specific"],
    "sft": ["specific", "wrong", "wrong", None],
    "speciarl": ["specific", "specific", "less specific", "more specific"],
    "best_of_64": ["more specific", "specific", "abstain", "failed"],
}


def scored(answers: dict[str, list[str | None]], groups: dict[str, str]) -> pl.DataFrame:
    rows = [
        {
            "run": run, "dataset": dataset, "sample_id": f"{dataset}/{i}", "rollout": 0,
            "verdict": answer if answer in LABELS else None,
            "decided_by": {None: "unparsable", "failed": "failed", "wrong": "undecided"}.get(
                answer, "taxonomy"
            ),
        }
        for run, given in answers.items()
        for dataset in groups
        for i, answer in enumerate(given)
    ]  # fmt: skip
    judged = pl.DataFrame(rows, schema_overrides={"verdict": pl.String})
    return score(judged, list(answers), groups, SPECIFICITY_WEIGHTS)


def hms(group: str, **figures: float | None) -> pl.DataFrame:
    """Scores of which only the harmonic means of one group matter."""
    counts = dict.fromkeys(("samples", *OUTCOMES, "undecided"), 0)
    rows = [
        {"run": run, "level": "group", "name": group, **counts,
         "correctness": hm, "specificity": hm, "hm": hm}
        for run, hm in figures.items()
    ]  # fmt: skip
    return pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(("correctness", "specificity", "hm"), pl.Float64)
    )


def metrics(steps: int, rewards: bool) -> pl.DataFrame:
    """As training writes them: with rewards by a reward, with losses only by imitation."""
    numbers = list(range(steps))
    filled = {c: [i % 3 for i in numbers] for c in (*OUTCOMES, "hits", "misses")}
    return pl.DataFrame(
        {
            "step": numbers,
            "loss": [1.0 / (i + 1) for i in numbers],
            "reward": [i / steps for i in numbers] if rewards else [None] * steps,
            **(filled if rewards else {c: [None] * steps for c in filled}),
        },
        schema_overrides={"reward": pl.Float64, **dict.fromkeys(filled, pl.Int64)},
    )


TRAINING = {
    "zero_shot": metrics(0, rewards=False),
    "sft": metrics(5, rewards=False),
    "speciarl": metrics(300, rewards=True),
}  # best_of_64 has none at all


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    return scored(ANSWERS, GROUPS)


def build(
    into: Path, scores: pl.DataFrame, runs=RUNS, training=TRAINING, miniature=True, judged=()
) -> str:
    build_report(
        scores, training, {}, runs=runs, weights=WEIGHTS, provenance={"grpo": {"kl": 0.01}},
        miniature=miniature, into=into, judged=judged,
    )  # fmt: skip
    return (into / "report.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


class Elements(HTMLParser):
    """All elements with their attributes; fails on an element closed out of turn."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# Tables


def test_counts_add_up(scores):
    counts = count_table(scores, RUNS)
    assert counts.height == len(RUNS) * 5
    assert counts.select(pl.sum_horizontal(OUTCOMES)).to_series().equals(counts["samples"])
    assert (counts["undecided"] <= counts["wrong"]).all()
    best = counts.row(by_predicate=(pl.col("name") == "fine-grained") & (pl.col("run") == "sft"),
                      named=True)  # fmt: skip
    assert (best["samples"], best["unparsable"], best["undecided"]) == (8, 2, 4)


def test_rows_come_in_the_order_given(scores):
    runs = RUNS[::-1]
    assert main_table(scores, runs, PUBLISHED)["run"].to_list() == runs
    table = dataset_table(scores, runs)
    assert table["run"].to_list() == runs * 3
    assert table["dataset"].unique(maintain_order=True).to_list() == list(GROUPS)


def test_main_table_has_published_figures_where_the_paper_states_them(scores):
    main = main_table(scores, [*RUNS, "my_run"], PUBLISHED)
    assert not [c for c in main.columns if c.startswith("in-domain published")]
    assert main["fine-grained published hm"].to_list() == [0.790, 0.866, 0.883, 0.933, None]
    assert main.row(-1) == ("my_run", *[None] * (main.width - 1))


def test_published_figures_fit_each_other():
    # They are means over datasets: close to, but not exactly, 2SC / (S + C).
    for run in PUBLISHED.figures:
        s, c, hm = (PUBLISHED.figure(run, "fine-grained", f)
                    for f in ("specificity", "correctness", "hm"))  # fmt: skip
        assert hm == pytest.approx(2 * s * c / (s + c), abs=0.005)


def test_csv_files_have_four_decimals_and_nothing_where_undefined(tmp_path):
    scores = scored({"zero_shot": ["abstain"], "sft": ["generic"]}, GROUPS)
    build(tmp_path, scores, runs=["zero_shot", "sft"])
    lines = (tmp_path / "tables" / "main.csv").read_text().splitlines()
    assert lines[1].startswith("zero_shot,,0.0000,,,0.0000,,0.7420,")
    assert lines[2].startswith("sft,0.2000,1.0000,0.3333,")
    assert {p.name for p in (tmp_path / "tables").iterdir()} == {
        "main.csv", "datasets.csv", "counts.csv",
    }  # fmt: skip


# Findings


@pytest.mark.parametrize(
    ("own", "other", "how"),
    [
        (0.8, 0.7, "above"), (0.7, 0.8, "below"), (0.7931, 0.7933, "level with"),
        (0.7934, 0.7936, "below"), (None, 0.5, None), (0.5, None, None), (0.0, 0.0, "level with"),
    ],
)  # fmt: skip
def test_compared_as_printed(own, other, how):
    assert compared(own, other) == how


def test_headline_when_ahead():
    scores = hms("fine-grained", zero_shot=0.5, rft=0.6, speciarl=0.7)
    said = headline(scores, ["zero_shot", "rft", "speciarl"], PUBLISHED)
    assert said.endswith("of speciarl exceeds that of zero_shot and rft.")


def test_headline_when_behind_or_level():
    scores = hms("fine-grained", zero_shot=0.8, rft=0.7, speciarl=0.7)
    said = headline(scores, ["zero_shot", "rft", "speciarl"], PUBLISHED)
    assert said.endswith("of speciarl does not exceed that of zero_shot and rft.")


def test_headline_when_mixed_and_undefined():
    scores = pl.concat(
        [
            hms("in-domain", zero_shot=0.9, sft=0.9, rft=0.9, speciarl=0.1),
            hms("fine-grained", zero_shot=0.5, sft=0.6, rft=None, speciarl=0.7),
            hms("very fine-grained", zero_shot=0.5, sft=0.8, rft=None, speciarl=0.7),
        ]
    )
    said = headline(scores, ["zero_shot", "sft", "rft", "speciarl"], PUBLISHED)
    assert said == (
        "In fine-grained and very fine-grained, which it was not trained on, the harmonic mean "
        "(HM) of speciarl exceeds that of zero_shot; exceeds that of sft only in fine-grained; "
        "cannot be compared with that of rft."
    )


def test_headline_without_the_method_its_baselines_or_unseen_groups():
    scores = hms("fine-grained", zero_shot=0.5, speciarl=0.7)
    assert "No run named speciarl" in headline(scores, ["zero_shot"], PUBLISHED)
    assert "stands alone" in headline(scores, ["speciarl"], PUBLISHED)
    seen = hms("in-domain", zero_shot=0.5, speciarl=0.7)
    assert "No group outside" in headline(seen, ["zero_shot", "speciarl"], PUBLISHED)


def test_findings_say_where_the_order_is_the_papers():
    scores = hms("very fine-grained", zero_shot=0.1, sft=0.9, rft=0.6, speciarl=0.7)
    ((group, said),) = group_findings(scores, ["zero_shot", "sft", "rft", "speciarl"], PUBLISHED)
    assert group == "very fine-grained"
    assert said == [
        "HM 0.700, above zero_shot (0.100) and rft (0.600), below sft (0.900).",
        "As in the paper against rft.",
        "Not as in the paper against sft.",
    ]


def test_findings_with_an_undefined_figure():
    scores = hms("fine-grained", zero_shot=0.4, speciarl=None)
    ((_, said),) = group_findings(scores, ["zero_shot", "speciarl"], PUBLISHED)
    assert said[0] == "The HM of speciarl is undefined."


# The page


def test_page_needs_nothing_else(tmp_path, scores):
    page = build(tmp_path, scores)
    for tag, attributes in Elements(page).found:
        assert tag not in ("script", "link", "iframe", "img", "image", "object", "embed")
        assert not {"src", "href", "xlink:href", "srcset", "onload"} & attributes.keys()
    assert not re.search(r"https?:|@import|url\((?!#)", page)


def test_page_is_accessible(tmp_path, scores):
    found = Elements(build(tmp_path, scores)).found
    charts = [attributes for tag, attributes in found if tag == "svg"]
    assert len(charts) == 5
    assert all(c["role"] == "img" and c["aria-label"] for c in charts)
    tags = [tag for tag, _ in found]
    assert tags.count("caption") == tags.count("table") > 0
    assert all("scope" in attributes for tag, attributes in found if tag == "th")
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_same_input_same_bytes(tmp_path, scores):
    first, second = build(tmp_path / "a", scores), build(tmp_path / "b", scores)
    assert first == second
    for name in ("main", "datasets", "counts"):
        one, other = (tmp_path / x / "tables" / f"{name}.csv" for x in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_page_shows_figures_parameters_and_weights(tmp_path, scores):
    text = text_of(build(tmp_path, scores))
    assert headline(scores, RUNS, PUBLISHED) in text
    assert "0.883" in text
    assert "kl: 0.01" in text
    assert "more specific 1, specific 1, less specific 0.6, generic 0.2" in text
    assert "sft: trained without rewards for 5 steps, loss 1.000 at the first" in text
    assert "best_of_64: no training metrics." in text
    assert "speciarl 300 600 300 300 50.0%" in text


def test_only_the_miniature_is_called_one(tmp_path, scores):
    note = "not comparable in absolute terms"
    assert note in build(tmp_path, scores)
    assert note not in build(tmp_path, scores, miniature=False)


def test_two_judges_are_compared_and_one_is_not(tmp_path, scores):
    columns = ["class_name", "answer", "verdict"]
    judged = pl.DataFrame([("Gull", "bird", "generic")], schema=columns, orient="row")
    assert "judge of evaluation" in build(tmp_path, scores, judged=[judged])
    assert "judge of evaluation" not in build(tmp_path, scores)


def test_best_is_bold_and_the_bound_is_not(tmp_path):
    answers = {"speciarl": ["generic"], "sft": ["less specific"], "best_of_64": ["specific"]}
    page = build(tmp_path, scored(answers, {"food101": "fine-grained"}), runs=list(answers))
    assert re.findall(r'class="best">([^<]*)<', page) == ["0.750"]


def test_page_without_training_or_defined_figures(tmp_path):
    answers = {"zero_shot": ["wrong"], "speciarl": [None]}
    scores = scored(answers, {"food101": "fine-grained"})
    text = text_of(build(tmp_path, scores, runs=list(answers), training={}))
    assert "cannot be compared with that of zero_shot" in text
    assert "No run was trained by a reward." in text
    assert "No run looked up verdicts in training." in text
    assert "No run has both figures." in text


def test_names_are_escaped(tmp_path):
    answers = {"a<b>&": ["specific"]}
    page = build(tmp_path, scored(answers, {"food101": "<i>{0}"}), runs=list(answers))
    assert "a<b>" not in page
    assert "<i>" not in page
    Elements(page)


def test_many_runs_and_groups(tmp_path):
    runs = [f"an_ablation_with_a_rather_long_name_{i}" for i in range(15)]
    scores = scored({run: ["specific", "wrong"] for run in runs},
                    {f"set{i}": f"group {i}" for i in range(7)})  # fmt: skip
    page = build(tmp_path, scores, runs=runs)
    assert all(run in page for run in runs)


# The terminal


def test_terminal_table_is_readable(scores):
    text = main_table_text(main_table(scores, RUNS, PUBLISHED))
    lines = text.splitlines()
    assert len(lines) == 2 + len(RUNS)
    assert max(map(len, lines)) <= WIDTH
    assert "fine-grained" in lines[0]
    assert lines[2].split() == ["zero_shot", *["0.300", "1.000", "0.462"] * 2, "0.790"]


def test_terminal_table_wraps_groups_and_cuts_names():
    runs = ["a_run_with_a_name_of_forty_two_characters_"]
    scores = pl.concat([hms(f"group {i}", **{runs[0]: 0.5}) for i in range(6)])
    text = main_table_text(main_table(scores, runs, PUBLISHED))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(f"group {i}" in text for i in range(6))
    assert "…" in text


def test_terminal_table_from_a_file_with_nothing_defined(tmp_path):
    main = main_table(hms("fine-grained", zero_shot=None), ["zero_shot"], PUBLISHED)
    main.write_csv(tmp_path / "main.csv")
    text = main_table_text(pl.read_csv(tmp_path / "main.csv"))
    assert text.splitlines()[-1].split() == ["zero_shot", "-", "-", "-", "0.790"]


def test_what_dvc_plots_are_the_shares_of_all_outcomes(scores, tmp_path):
    build(tmp_path, scores)
    curves = pl.read_csv(tmp_path / "plots/training.csv")
    assert curves["run"].unique().to_list() == ["speciarl"]  # the only one with rewards
    assert curves["step"].to_list() == TRAINING["speciarl"]["step"].to_list()
    assert curves["reward"].to_list() == pytest.approx(TRAINING["speciarl"]["reward"], abs=5e-5)
    levels = pl.read_csv(tmp_path / "plots/levels.csv")
    assert levels.select("run", "group").rows() == [
        (run, group) for group in dict.fromkeys(GROUPS.values()) for run in RUNS
    ]
    for table in (curves.drop_nulls(), levels):
        sums = table.select(pl.sum_horizontal(OUTCOMES)).to_series().to_list()
        assert len(sums) and sums == pytest.approx([1.0] * len(sums), abs=1e-3)
