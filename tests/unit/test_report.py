"""The report from small made-up scores: tables that add up, and a page that says what is."""

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from speciarl.config import OWN, Run, parse
from speciarl.report import build_report
from speciarl.report.findings import (
    Seen,
    compared,
    group_findings,
    groups_explained,
    headline,
    seen_groups,
    unseen_groups,
)
from speciarl.report.rendering import render
from speciarl.report.tables import (
    OUTCOMES,
    count_table,
    dataset_table,
    main_table,
)
from speciarl.report.visible import visible
from speciarl.verifiers import audit
from tests.report_input import (
    GROUPS,
    PREDICTIONS,
    PUBLISHED,
    RUNS,
    SEEN,
    TRAINING,
    WEIGHTS,
    hms,
    metrics,
    scored,
)


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    return scored(PREDICTIONS, GROUPS)


def build(
    into: Path, scores: pl.DataFrame, runs=RUNS, training=TRAINING,
    miniature=("images", "policy"), judged=(), seen=SEEN,
) -> str:  # fmt: skip
    build_report(
        scores, training, {}, runs=runs, weights=WEIGHTS, provenance={"grpo": {"kl": 0.01}},
        seen=seen, miniature=miniature, into=into, judged=judged,
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
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

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


def test_main_table_has_published_metrics_where_the_paper_states_them(scores):
    main = main_table(scores, [*RUNS, "my_run"], PUBLISHED)
    assert not [c for c in main.columns if c.startswith("in-domain published")]
    assert main["fine-grained published hm"].to_list() == [0.790, 0.866, 0.883, 0.933, None]
    assert main.row(-1) == ("my_run", *[None] * (main.width - 1))


def test_published_metrics_fit_each_other():
    # They are means over datasets: close to, but not exactly, 2SC / (S + C).
    for run in PUBLISHED.metrics:
        s, c, hm = (PUBLISHED.metric(run, "fine-grained", f)
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
    said = headline(scores, ["zero_shot", "rft", "speciarl"], PUBLISHED, SEEN)
    assert said.endswith("of speciarl exceeds that of zero_shot and rft.")


def test_headline_when_behind_or_level():
    scores = hms("fine-grained", zero_shot=0.8, rft=0.7, speciarl=0.7)
    said = headline(scores, ["zero_shot", "rft", "speciarl"], PUBLISHED, SEEN)
    assert said.endswith("of speciarl does not exceed that of zero_shot and rft.")


def test_headline_when_mixed_and_undefined():
    scores = pl.concat(
        [
            hms("in-domain", zero_shot=0.9, sft=0.9, rft=0.9, speciarl=0.1),
            hms("fine-grained", zero_shot=0.5, sft=0.6, rft=None, speciarl=0.7),
            hms("very fine-grained", zero_shot=0.5, sft=0.8, rft=None, speciarl=0.7),
        ]
    )
    said = headline(scores, ["zero_shot", "sft", "rft", "speciarl"], PUBLISHED, SEEN)
    assert said == (
        "In fine-grained and very fine-grained, which it was not trained on, the harmonic mean "
        "(HM) of speciarl exceeds that of zero_shot; exceeds that of sft only in fine-grained; "
        "cannot be compared with that of rft."
    )


def test_headline_without_the_method_its_baselines_or_unseen_groups():
    scores = hms("fine-grained", zero_shot=0.5, speciarl=0.7)
    assert "No run named speciarl" in headline(scores, ["zero_shot"], PUBLISHED, SEEN)
    assert "stands alone" in headline(scores, ["speciarl"], PUBLISHED, SEEN)
    seen = hms("in-domain", zero_shot=0.5, speciarl=0.7)
    assert "No group was scored that none" in headline(
        seen, ["zero_shot", "speciarl"], PUBLISHED, SEEN
    )


# A custom dataset: one run may be trained on it, or none, or the method itself.
PARAMS = parse(
    {
        "datasets": {
            "splits": {"cub200": "official", "flowers102": "coop"},
            "folders": {"garden": {"path": "images/garden", "test_share": 0.2}},
        },
        "groups": {"in-domain": ["cub200"], "fine-grained": ["flowers102"]},
        "training_sets": {
            "cub200": {"datasets": ["cub200"]},
            "garden": {"datasets": ["garden"]},
            "both": {"datasets": ["cub200", "garden"]},
        },
        "runs": {"zero_shot": {}},
    }
)


def custom(**training_sets: str) -> tuple[pl.DataFrame, list[str], Seen]:
    """Scores, runs and what each was trained on: a training set a run, and zero_shot."""
    rows = {run: {"method": "grpo", "training_set": name} for run, name in training_sets.items()}
    rows["zero_shot"] = {"method": "none", "training_set": "garden"}
    params = PARAMS.model_copy(update={"runs": {run: Run(**row) for run, row in rows.items()}})
    seen = seen_groups(params)
    return scored({run: ["specific"] for run in rows}, CUSTOM), list(rows), seen


CUSTOM = {"cub200": "in-domain", "flowers102": "fine-grained", "garden": OWN}


@pytest.mark.parametrize(
    ("training_sets", "unseen", "explained"),
    [
        (
            {"speciarl": "cub200"},
            ["fine-grained", OWN],
            "Trained on images of their datasets: speciarl on in-domain. "
            f"No run was trained on images of any dataset in fine-grained and {OWN}.",
        ),
        (
            {"speciarl": "cub200", "speciarl_garden": "garden"},
            ["fine-grained", OWN],
            "Trained on images of their datasets: speciarl on in-domain; speciarl_garden on "
            f"{OWN}. No run was trained on images of any dataset in fine-grained.",
        ),
        (
            {"speciarl": "garden"},
            ["in-domain", "fine-grained"],
            f"Trained on images of their datasets: speciarl on {OWN}. "
            "No run was trained on images of any dataset in in-domain and fine-grained.",
        ),
        (
            {"speciarl": "cub200", "sft": "both"},
            ["fine-grained"],
            "Trained on images of their datasets: speciarl and sft on in-domain; sft on "
            f"{OWN}. No run was trained on images of any dataset in fine-grained.",
        ),
        ({}, ["in-domain", "fine-grained", OWN],
         f"No run was trained on images of any dataset in in-domain, fine-grained and {OWN}."),
    ],
)  # fmt: skip
def test_what_is_said_of_groups_is_true_of_custom_datasets(
    training_sets, unseen, explained, tmp_path
):
    scores, runs, seen = custom(**training_sets)
    assert unseen_groups(scores, runs, PUBLISHED, seen) == unseen
    assert groups_explained(scores, seen) == explained
    page = text_of(build(tmp_path, scores, runs=runs, training={}, seen=seen))
    assert explained in page
    if "speciarl" in runs:
        assert [group for group, _ in group_findings(scores, runs, PUBLISHED, seen)] == unseen
        names = " and ".join([", ".join(unseen[:-1]), unseen[-1]] if len(unseen) > 1 else unseen)
        assert f"In {names}, which it was not trained on, the harmonic mean" in page


def test_the_paper_s_metrics_stand_beside_the_paper_s_groups_only():
    own = PARAMS.groups | {"fine-grained": ["flowers102", "food101", "oxford_pets", "garden"],
                              "very fine-grained": ["fgvc_aircraft", "stanford_cars"]}  # fmt: skip
    published = PUBLISHED.of(own)
    assert not published.states("fine-grained", "hm")
    assert published.metric("rft", "very fine-grained", "hm") == 0.821
    scores = hms("fine-grained", zero_shot=0.1, speciarl=0.7)
    ((_, said),) = group_findings(scores, ["zero_shot", "speciarl"], published, SEEN)
    assert said[-1] == "Nothing here can be held against the paper."


def test_findings_say_where_the_order_is_the_papers():
    scores = hms("very fine-grained", zero_shot=0.1, sft=0.9, rft=0.6, speciarl=0.7)
    ((group, said),) = group_findings(
        scores, ["zero_shot", "sft", "rft", "speciarl"], PUBLISHED, SEEN
    )
    assert group == "very fine-grained"
    assert said == [
        "HM 0.700, above zero_shot (0.100) and rft (0.600), below sft (0.900).",
        "As in the paper against rft.",
        "Not as in the paper against sft.",
    ]


def test_findings_with_an_undefined_figure():
    scores = hms("fine-grained", zero_shot=0.4, speciarl=None)
    ((_, said),) = group_findings(scores, ["zero_shot", "speciarl"], PUBLISHED, SEEN)
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


def test_page_shows_metrics_parameters_and_weights(tmp_path, scores):
    text = text_of(build(tmp_path, scores))
    assert headline(scores, RUNS, PUBLISHED, SEEN) in text
    assert "0.883" in text
    assert "kl: 0.01" in text
    assert "more specific 1, specific 1, less specific 0.6, generic 0.2" in text
    assert "sft: trained without rewards for 5 steps, loss 1.000 at the first" in text
    assert "best_of_64: no training metrics." in text
    assert "speciarl 300 600 300 300 50.0%" in text


def test_only_the_miniature_is_called_one(tmp_path, scores):
    note = "not comparable in absolute terms"
    both = (
        "This is the miniature: rendered images of the benchmarks and a policy of about a million"
    )
    assert note in (page := build(tmp_path, scores)) and both in page
    assert "rendered" not in build(tmp_path, scores, miniature=["policy"])
    assert note not in build(tmp_path, scores, miniature=())


def test_two_judges_are_compared_and_one_is_not(tmp_path, scores):
    columns = ["class_name", "prediction", "verdict"]
    judged = pl.DataFrame([("Gull", "bird", "generic")], schema=columns, orient="row")
    assert "judge of evaluation" in build(tmp_path, scores, judged=[judged])
    assert "judge of evaluation" not in build(tmp_path, scores)


def test_best_is_bold_and_the_bound_is_not(tmp_path):
    predictions = {"speciarl": ["generic"], "sft": ["less specific"], "best_of_64": ["specific"]}
    page = build(tmp_path, scored(predictions, {"food101": "fine-grained"}), runs=list(predictions))
    assert re.findall(r'class="best">([^<]*)<', page) == ["0.750"]


def test_page_without_training_or_defined_metrics(tmp_path):
    predictions = {"zero_shot": ["wrong"], "speciarl": [None]}
    scores = scored(predictions, {"food101": "fine-grained"})
    text = text_of(build(tmp_path, scores, runs=list(predictions), training={}))
    assert "cannot be compared with that of zero_shot" in text
    assert "No run was trained by a reward." in text
    assert "No run looked up verdicts in training." in text
    assert "No run has both figures." in text


HOSTILE = [
    "<script>alert(1)</script>", "\"' onload=x", "</svg></table><script>", "{{ 7 * 7 }}{% raw %}",
    "<!--", "]]>&lt;&#60;", "a\0b\x1b[31m\x9b", "\u202egnp.exe", "\ufffe\uffff",
]  # fmt: skip


def test_hostile_names_and_predictions_are_shown_and_do_nothing(tmp_path):
    groups = {f"set {name}": f"group {name}" for name in HOSTILE}
    predictions = {
        name: pl.DataFrame(
            [(0, f"class {name}", "bird", "generic", 2), (0, "Gull", f"said {name}", None, 5)],
            schema=audit.PREDICTIONS, orient="row",
        )
        for name in HOSTILE
    }  # fmt: skip
    judged = pl.DataFrame(
        [(f"class {name}", "bird", "wrong") for name in HOSTILE],
        schema=["class_name", "prediction", "verdict"], orient="row",
    )  # fmt: skip
    build_report(
        scored({name: ["specific", "wrong"] for name in HOSTILE}, groups),
        dict.fromkeys(HOSTILE, metrics(2, rewards=True)), predictions,
        runs=HOSTILE, weights=WEIGHTS, provenance={name: [name] for name in HOSTILE},
        miniature=(), seen=SEEN, into=tmp_path, judged=[judged],
    )  # fmt: skip
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    elements = Elements(page)
    assert {tag for tag, _ in elements.found} & {"script", "g", "svg"} == {"g", "svg"}
    assert not {key for _, attributes in elements.found for key in attributes if key[:2] == "on"}
    assert not set(page) & set("\0\x1b\x9b\u202e\ufffe\uffff")
    text = "".join(elements.text)
    for name in HOSTILE:
        shown = visible(name)
        for place in ("group", "set", "class", "said"):
            assert f"{place} {shown}" in text


@given(st.text())
def test_any_text_is_shown_as_it_is_but_for_what_is_unseen(text):
    page = Elements(render("provenance.html.j2", {"provenance": {text: text}}))
    assert [tag for tag, _ in page.found] == ["h3", "pre"]
    assert "".join(page.text) == f"{visible(text)}\n{visible(text)}\n"
    assert all(c.isprintable() or c in "\n\t" or unicodedata.category(c) in ("Zs", "Cf", "Cn", "Co")
               for c in visible(text))  # fmt: skip


def test_a_template_asks_for_nothing_that_is_not_given():
    with pytest.raises(UndefinedError, match="provenance"):
        render("provenance.html.j2", {})


def test_many_runs_and_groups(tmp_path):
    runs = [f"an_ablation_with_a_rather_long_name_{i}" for i in range(15)]
    scores = scored({run: ["specific", "wrong"] for run in runs},
                    {f"set{i}": f"group {i}" for i in range(7)})  # fmt: skip
    training = dict.fromkeys(runs[:6], metrics(200, rewards=True))  # 5,760 rows in a chart
    page = build(tmp_path, scores, runs=runs, training=training)
    assert all(run in page for run in runs)


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
