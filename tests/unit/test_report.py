"""The report from small made-up scores: tables that add up, and a page that says what is."""

import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from speciarl.config import OWN, Run, parse
from speciarl.errors import DataError
from speciarl.evaluation.best_of import COLUMNS
from speciarl.report.agreement import signs_by_run
from speciarl.report.build import build_report
from speciarl.report.examples import Example, Said
from speciarl.report.findings import (
    Difference,
    Seen,
    difference_of,
    group_findings,
    groups_explained,
    headline,
    opening,
    seen_groups,
    unseen_groups,
)
from speciarl.report.page import Evidence
from speciarl.report.rendering import render
from speciarl.report.rollouts import rollouts_chart, rollouts_findings
from speciarl.report.tables import (
    count_table,
    dataset_table,
    main_table,
    over_seeds,
    seed_table,
)
from speciarl.report.training_charts import policy_lines, reward_curves, with_rewards
from speciarl.report.visible import visible
from speciarl.verdicts import OUTCOMES
from speciarl.verifiers import audit
from tests.report_input import (
    GROUPS,
    MEASURES,
    PREDICTIONS,
    PUBLISHED,
    ROLLOUTS,
    RUNS,
    SEEN,
    TRAINING,
    WEIGHTS,
    Scored,
    differing,
    hms,
    metrics,
    scored,
)

UNSEEN = ["flowers102", "food101"]


@pytest.fixture(scope="module")
def results() -> Scored:
    return scored(PREDICTIONS, GROUPS, UNSEEN)


@pytest.fixture
def scores(results) -> pl.DataFrame:
    return over_seeds(results.scores)


def build(
    into: Path, results: Scored, runs=RUNS, training=TRAINING,
    miniature=("images", "policy"), judged=(), seen=SEEN, **studies,
) -> str:  # fmt: skip
    evidence = Evidence(
        *results, training, {}, runs, WEIGHTS, PUBLISHED, seen, miniature, judged, **studies
    )
    build_report(evidence, {"grpo": {"kl": 0.01}}, into)
    return without_scripts((into / "report.html").read_text(encoding="utf-8"))


def without_scripts(page: str) -> str:
    """The page with its scripts emptied: what they do is seen in test_report_browser.py."""
    return re.sub(r"(?s)(<script\b[^>]*>).*?</script>", r"\1</script>", page)


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


def test_counts_add_up_over_seeds(scores):
    counts = count_table(scores, RUNS)
    assert counts.height == len(RUNS) * 5
    assert counts.select(pl.sum_horizontal(OUTCOMES)).to_series().equals(counts["samples"])
    assert (counts["undecided"] <= counts["wrong"]).all()
    best = counts.row(by_predicate=(pl.col("name") == "fine-grained") & (pl.col("run") == "sft"),
                      named=True)  # fmt: skip
    assert (best["samples"], best["unparsable"], best["undecided"]) == (160, 20, 60)


def test_rows_come_in_the_order_given(results, scores):
    runs = RUNS[::-1]
    assert main_table(scores, runs, PUBLISHED)["run"].to_list() == runs
    table = dataset_table(scores, runs)
    assert table["run"].to_list() == runs * 3
    assert table["dataset"].unique(maintain_order=True).to_list() == list(GROUPS)
    seeds = seed_table(results.scores, runs).filter(name="food101")
    assert seeds.select("run", "seed", "samples").rows() == [
        ("best_of_64", 42, 40), ("speciarl", 42, 40), ("speciarl", 43, 40),
        ("sft", 42, 40), ("sft", 43, 40), ("zero_shot", 42, 40),
    ]  # fmt: skip


def test_main_table_has_published_metrics_where_the_paper_states_them(scores):
    main = main_table(scores, [*RUNS, "my_run"], PUBLISHED)
    assert not [c for c in main.columns if c.startswith("in-domain published")]
    assert main["fine-grained published hm"].to_list() == [0.790, 0.866, 0.883, 0.933, None]
    assert main.row(-1) == ("my_run", *[None] * (main.width - 1))


def test_main_table_has_means_over_seeds_their_intervals_and_their_spread(results, scores):
    main = main_table(scores, RUNS, PUBLISHED)
    assert main["seeds"].to_list() == [1, 2, 2, 1]
    row = main.row(by_predicate=pl.col("run") == "speciarl", named=True)
    by_seed = results.scores.drop_nulls("seed").filter(run="speciarl", level="overall")["hm"]
    assert by_seed.len() == 2 and row["unseen datasets hm"] == pytest.approx(by_seed.mean())
    assert row["unseen datasets hm spread"] == pytest.approx(by_seed.std())
    low, high = row["unseen datasets hm low"], row["unseen datasets hm high"]
    assert low < row["unseen datasets hm"] < high
    assert (low, high) == pytest.approx((by_seed.min(), by_seed.max()), abs=0.03)  # one is drawn
    assert main["unseen datasets hm spread"].is_null().to_list() == [True, False, False, True]


def test_published_metrics_fit_each_other():
    # They are means over datasets: close to, but not exactly, 2SC / (S + C).
    for run in (PUBLISHED.method, *PUBLISHED.baselines, PUBLISHED.bound):
        s, c, hm = (PUBLISHED.metric(run, "fine-grained", f)
                    for f in ("specificity", "correctness", "hm"))  # fmt: skip
        assert hm == pytest.approx(2 * s * c / (s + c), abs=0.005)


def test_csv_files_have_four_decimals_and_nothing_where_undefined(tmp_path):
    results = scored({"zero_shot": ["abstain"], "sft": ["generic"]}, GROUPS)
    build(tmp_path, results, runs=["zero_shot", "sft"])
    lines = (tmp_path / "tables" / "main.csv").read_text().splitlines()
    assert lines[1].startswith("zero_shot,1,,0.0000,,,,,,0.0000,,,,,0.7420,")
    assert lines[2].startswith("sft,1,0.2000,1.0000,0.3333,0.3333,0.3333,,")
    assert {p.name for p in (tmp_path / "tables").iterdir()} == {
        "main.csv", "main.tex", "datasets.csv", "counts.csv", "seeds.csv",
    }  # fmt: skip


# Findings


@pytest.mark.parametrize(
    ("low", "high", "how"),
    [
        (0.001, 0.2, "exceeds"), (-0.2, -0.001, "is below"), (-0.1, 0.2, "is level with"),
        (0.0, 0.1, "is level with"), (-0.1, 0.0, "is level with"), (0.0, 0.0, "is level with"),
        (None, None, "cannot be compared with"),
    ],
)  # fmt: skip
def test_an_order_is_told_only_where_the_whole_interval_is_on_one_side(low, high, how):
    middle = None if low is None else (low + high) / 2
    found = differing("b", "g", a=(middle, low, high))
    forward, backward = (difference_of(found, *runs, "g") for runs in (("b", "a"), ("a", "b")))
    opposite = {"exceeds": "is below", "is below": "exceeds"}
    assert forward.outcome == how and backward.outcome == opposite.get(how, how)
    assert forward == (middle, low, high) and -backward == forward
    assert difference_of(found, "b", "c", "g") == Difference(None, None, None)
    assert difference_of(found, "b", "a", "another") == Difference(None, None, None)


UNDEFINED = (None, None, None)
UNSEEN_HMS = hms("unseen datasets", "overall", speciarl=0.8584, rft=0.8)


def said_at_the_top(runs, scores=UNSEEN_HMS, method="speciarl", **others):
    found = differing(method, "unseen datasets", "overall", **others)
    return headline(scores, found, runs, PUBLISHED)


def test_headline_of_every_kind():
    said = said_at_the_top(
        ["zero_shot", "be_specific", "sft", "rft", "speciarl"],
        zero_shot=(0.3, 0.28, 0.33), be_specific=(0.003, -0.004, 0.01), rft=(0.021, 0.01, 0.033),
        sft=(-0.0212, -0.0331, -0.01),
    )  # fmt: skip
    assert said == (
        "In the datasets that no run was trained on, the mean HM of speciarl (0.858, 95 % interval "
        "0.848 to 0.868, 3 seeds) exceeds that of zero_shot by 0.300 [0.280, 0.330] and that of "
        "rft by 0.021 [0.010, 0.033]; is level with that of be_specific (difference 0.003 "
        "[-0.004, 0.010]); is below that of sft by 0.021 [0.010, 0.033]."
    )


def test_headline_where_differences_stand_the_other_way_round():
    said = said_at_the_top(["rft", "speciarl"], method="rft", speciarl=(-0.03, -0.05, -0.01))
    assert said.endswith("3 seeds) exceeds that of rft by 0.030 [0.010, 0.050].")


def test_headline_with_what_is_undefined():
    said = said_at_the_top(["sft", "speciarl"], sft=UNDEFINED)
    assert said.endswith("3 seeds) cannot be compared with that of sft.")
    said = said_at_the_top(["sft", "speciarl"], hms("unseen datasets", "overall", speciarl=None))
    assert said.endswith("the mean HM of speciarl is undefined.")
    doubtful = UNSEEN_HMS.with_columns(hm_low=None, hm_high=None, seeds=1)
    said = said_at_the_top(["sft", "speciarl"], doubtful, sft=UNDEFINED)
    assert "of speciarl (0.858, 1 seed) cannot" in said


def test_headline_without_the_method_its_baselines_or_unseen_datasets():
    assert "No run named speciarl" in said_at_the_top(["rft"])
    assert "stands alone" in said_at_the_top(["speciarl"])
    seen = said_at_the_top(["rft", "speciarl"], hms("in-domain", speciarl=0.7, rft=0.5))
    assert seen == "No dataset was scored that none of the runs was trained on."


def test_it_opens_with_what_was_found_what_it_is_made_of_and_how_far_the_bound_is(results, scores):
    given = (scores, results.differences)
    found, made_of, bound = opening(*given, RUNS, PUBLISHED)
    assert found == headline(*given, RUNS, PUBLISHED)
    assert re.sub(r"\[.*?\]", "[]", made_of) == (
        "There it has Specificity 0.850 [] and Correctness 1.000 []; zero_shot, the policy before "
        "training, Specificity 0.300 [] and Correctness 1.000 []."
    )
    assert re.fullmatch(r"It exceeds best_of_64 by 0\.\d+ \[.*\], which chooses among .*", bound)
    assert len(opening(*given, ["speciarl", "sft"], PUBLISHED)) == 1


def test_the_main_table_is_latex_with_intervals_and_nothing_unescaped(tmp_path):
    results = scored({"zero_shot": ["abstain"], "a_b & 50%": ["generic"]}, GROUPS)
    build(tmp_path, results, runs=["zero_shot", "a_b & 50%"])
    text = (tmp_path / "tables" / "main.tex").read_text()
    assert r"\multicolumn{3}{c}{in-domain}" in text and r"\toprule" in text
    rows = [line for line in text.splitlines() if line.startswith(("zero", "a"))]
    undefined, known = (row.removesuffix(r" \\").split(" & ") for row in rows)
    assert undefined == [r"zero\_shot", *["--", "0.000", "--"] * 2]
    assert known[0] + " & " + known[1] == r"a\_b \& 50\%" + " & 0.200"
    assert known[2:4] == ["1.000", "0.333 [0.333, 0.333]"]


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


def custom(**training_sets: str) -> tuple[Scored, list[str], Seen]:
    """Scores, runs and what each was trained on: a training set a run, and zero_shot."""
    rows = {run: {"method": "grpo", "training_set": name} for run, name in training_sets.items()}
    rows["zero_shot"] = {"method": "none", "training_set": "garden"}
    params = PARAMS.model_copy(update={"runs": {run: Run(**row) for run, row in rows.items()}})
    seen = seen_groups(params)
    return scored({run: ["specific"] for run in rows}, CUSTOM, ["flowers102"]), list(rows), seen


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
    results, runs, seen = custom(**training_sets)
    scores = over_seeds(results.scores)
    assert unseen_groups(scores, runs, PUBLISHED, seen) == unseen
    assert groups_explained(scores, seen) == explained
    page = text_of(build(tmp_path, results, runs=runs, training={}, seen=seen))
    assert explained in page
    for group in unseen:
        said = f"{group} : HM 1.000 [1.000, 1.000]: is level with zero_shot (difference 0.000"
        assert (said in page) is ("speciarl" in runs)


def test_the_paper_s_metrics_stand_beside_the_paper_s_groups_only():
    own = PARAMS.groups | {"fine-grained": ["flowers102", "food101", "oxford_pets", "garden"],
                              "very fine-grained": ["fgvc_aircraft", "stanford_cars"]}  # fmt: skip
    published = PUBLISHED.of(own)
    assert not published.states("fine-grained", "hm")
    assert published.metric("rft", "very fine-grained", "hm") == 0.821
    said = said_of("fine-grained", {"zero_shot": (0.6, 0.5, 0.7)}, published, speciarl=0.7)
    assert said[-1] == "Nothing here can be held against the paper."


def said_of(group, others, published=PUBLISHED, **figures):
    """The sentences on one group, of a method that differs from others by so much."""
    found = differing("speciarl", group, **others)
    runs = [*others, *figures]
    ((name, said),) = group_findings(hms(group, **figures), found, runs, published, [group])
    assert name == group
    return said


def test_findings_say_where_the_order_is_the_papers():
    others = {"sft": (-0.2, -0.21, -0.19), "rft": (0.1, 0.05, 0.15), "zero_shot": (0.6, 0.5, 0.7)}
    assert said_of("very fine-grained", others, speciarl=0.7, best_of_64=0.9) == [
        "HM 0.700 [0.690, 0.710]: exceeds zero_shot by 0.600 [0.500, 0.700] and rft by 0.100 "
        "[0.050, 0.150]; is below sft by 0.200 [0.190, 0.210].",
        "best_of_64, chosen among samples with the true class known, has 0.900.",
        "As in the paper against rft.",
        "Not as in the paper against sft.",
    ]


def test_what_is_level_here_is_not_the_papers_order():
    said = said_of("very fine-grained", {"rft": (0.1, -0.1, 0.15)}, speciarl=0.7)
    assert said[1:] == ["Not as in the paper against rft."]
    said = said_of("very fine-grained", {"rft": UNDEFINED}, speciarl=0.7)
    assert said == ["HM 0.700 [0.690, 0.710]: cannot be compared with rft.",
                    "Nothing here can be held against the paper."]  # fmt: skip


def test_findings_with_an_undefined_figure():
    said = said_of("fine-grained", {"zero_shot": UNDEFINED}, speciarl=None)
    assert said[0] == "The HM of speciarl is undefined."


# The page


def test_page_needs_nothing_else(tmp_path, results):
    page = build(tmp_path, results)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    for tag, attributes in Elements(page).found:
        assert tag not in ("link", "iframe", "img", "image", "object", "embed")
        assert not {"src", "href", "xlink:href", "srcset", "onload"} & attributes.keys()
    assert not re.search(r"https?:|@import|url\((?!#)", page)


def test_page_is_accessible(tmp_path, results):
    found = Elements(build(tmp_path, results)).found
    charts = [attributes for tag, attributes in found if tag == "svg"]
    assert len(charts) == 9
    assert all(c["role"] == "img" and c["aria-label"] for c in charts)
    tags = [tag for tag, _ in found]
    assert tags.count("caption") == tags.count("table") > 0
    assert all("scope" in attributes for tag, attributes in found if tag == "th")
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_same_input_same_bytes(tmp_path, results):
    first, second = build(tmp_path / "a", results), build(tmp_path / "b", results)
    assert first == second
    for name in ("main", "datasets", "counts"):
        one, other = (tmp_path / x / "tables" / f"{name}.csv" for x in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_page_shows_metrics_parameters_and_weights(tmp_path, results):
    text = text_of(build(tmp_path, results))
    found = headline(over_seeds(results.scores), results.differences, RUNS, PUBLISHED)
    assert "2 seeds) exceeds that of zero_shot by" in found
    assert found in text
    for run, seeds in (("zero_shot", 1), ("speciarl", 2)):
        row = rf"{run} {seeds} [01]\.\d{{3}} [01]\.\d{{3}} 0\.\d{{3}} \[0\.\d{{3}}, 0\.\d{{3}}\]"
        assert re.search(row, text)
    assert "0.883" in text
    assert "kl: 0.01" in text
    assert "more specific 1, specific 1, less specific 0.6, generic 0.2" in text
    assert "sft: trained without rewards for 5 steps, loss 1.500 at the first" in text
    assert "best_of_64: trained" not in text
    assert "speciarl 2 300 1,200 600 600 50.0%" in text


def test_only_the_miniature_is_called_one(tmp_path, results):
    note = "not comparable in absolute terms"
    both = (
        "This is the miniature: rendered images of the benchmarks and a policy of about a million"
    )
    assert note in (page := build(tmp_path, results)) and both in page
    assert "rendered" not in build(tmp_path, results, miniature=["policy"])
    assert note not in build(tmp_path, results, miniature=())


def test_two_judges_are_compared_and_one_is_not(tmp_path, results):
    columns = ["class_name", "prediction", "verdict"]
    judged = pl.DataFrame([("Gull", "bird", "generic")], schema=columns, orient="row")
    assert "judge of evaluation" in build(tmp_path, results, judged=[judged])
    assert "judge of evaluation" not in build(tmp_path, results)


def test_best_is_bold_and_the_bound_is_not(tmp_path):
    predictions = {"speciarl": ["generic"], "sft": ["less specific"], "best_of_64": ["specific"]}
    page = build(tmp_path, scored(predictions, {"food101": "fine-grained"}), runs=list(predictions))
    assert re.findall(r'class="best">([^<]*)<', page) == ["0.750"]


def test_page_without_training_or_defined_metrics(tmp_path):
    predictions = {"zero_shot": ["wrong"], "speciarl": [None]}
    results = scored(predictions, {"food101": "fine-grained"})
    text = text_of(build(tmp_path, results, runs=list(predictions), training={}))
    assert "No dataset was scored that none of the runs was trained on." in text
    assert "fine-grained : The HM of speciarl is undefined." in text
    assert "No run has a harmonic mean." in text
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
    evidence = Evidence(
        *scored({name: ["specific", "wrong"] for name in HOSTILE}, groups),
        dict.fromkeys(HOSTILE, metrics(2, rewards=True)), predictions, HOSTILE, WEIGHTS, PUBLISHED,
        SEEN, judged=[judged],
        examples=[
            Example(f"of {x}", f"the {x}", "data:image/webp;base64,", [Said(x, x, "wrong", "lost")])
            for x in HOSTILE
        ],
    )  # fmt: skip
    build_report(evidence, {name: [name] for name in HOSTILE}, tmp_path)
    whole = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = without_scripts(whole)
    elements, drawn = Elements(page), page.count('<div class="wide chart"')
    scripts = [attrs.get("type") for tag, attrs in Elements(whole).found if tag == "script"]
    assert scripts == ["application/json"] * drawn + [None, None] and drawn > 5
    assert not {key for _, attributes in elements.found for key in attributes if key[:2] == "on"}
    assert not set(page) & set("\0\x1b\x9b\u202e\ufffe\uffff")
    text = "".join(elements.text)
    for name in HOSTILE:
        shown = visible(name)
        for place in ("group", "set", "class", "said", "of", "the"):
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


def test_a_reward_has_a_line_for_each_seed_and_one_for_their_mean():
    curves = reward_curves(with_rewards(TRAINING, RUNS), RUNS)
    paths = re.findall(r'<path [^>]*d="(M[^"]*)"', curves)
    assert sum(path.count("L") > 50 for path in paths) == 3


def test_what_never_moved_has_no_panel():
    chart = policy_lines(with_rewards(TRAINING, RUNS), RUNS)
    shown = [name for name in ("kl", "clip ratio", "completion length") if name in chart]
    assert shown == ["kl", "completion length"]
    still = TRAINING["speciarl"].with_columns(kl=pl.lit(None, pl.Float64), completion_length=0.0)
    assert policy_lines({"speciarl": still}, ["speciarl"]) is None


def test_policies_are_audited_over_all_seeds():
    said = [(1, "bird", 2), (2, "bird", 3), (2, "gull or bird", 5)]
    rows = [(seed, 0, "Gull", prediction, "generic", n) for seed, prediction, n in said]
    given = pl.DataFrame(rows, {"seed": pl.Int64, **audit.PREDICTIONS}, orient="row")
    (sign,) = signs_by_run({"r": given}, ["r"])
    assert (sign["run"], sign["predictions"], sign["commonest_share"]) == ("r", 10, 0.5)
    assert sign["several"] == 0.5


def test_the_best_of_k_is_a_section_where_a_run_has_several_samples(tmp_path, results):
    metrics = {"correctness": 0.9, "specificity": 0.8, "hm": 0.85, "hm_low": 0.84, "hm_high": 0.86}
    rows = [
        {"run": run, "seed": 42, "level": level, "name": name, "k": k, "images": 58, "dropped": 2}
        | metrics
        for run in ("best_of_64", "a_run_of_none")
        for level, name in (("dataset", "cub200"), ("group", "in-domain"))
        for k in range(1, 7)
    ]
    counts = dict.fromkeys(("k", "images", "dropped"), pl.Int64)
    curves = pl.DataFrame(rows, dict.fromkeys(COLUMNS) | counts, strict=False)
    page = build(tmp_path, results, best_of=curves)
    assert "How far more samples reach" in text_of(page) and page.count("<svg") == 10
    (table,) = re.findall(r"(?s)in-domain: best_of_64, seed 42</th></tr>(.*?)</tbody>", page)
    shown = re.findall(r'<th scope="row">(\d)</th>', table)
    assert shown == ["1", "2", "4", "6"]  # those that double, and the last
    assert "0.840" in page and "a_run_of_none" not in page
    assert "2 of 60 images of best_of_64 in in-domain are left out" in text_of(page)
    assert "How far more" not in build(tmp_path, results, best_of=curves.clear())
    assert "How far more" not in build(tmp_path, results)


def test_what_is_left_out_is_told_beside_the_figures_that_lack_it(tmp_path, results):
    page = text_of(build(tmp_path, results, measures=MEASURES))
    assert "10 of 40 images of best_of_64 in in-domain" in page
    assert "3 images of speciarl in in-domain are left out, and 37 are counted" in page
    assert "No semantic similarity: measures.embedding_model names no directory." in page
    whole = scored({"speciarl": ["specific"] * 4}, {"cub200": "in-domain"})
    assert "Left out" not in text_of(build(tmp_path, whole, runs=["speciarl"]))


def test_the_rollouts_are_a_section_of_its_own(tmp_path, results):
    page = build(tmp_path, results, rollouts=ROLLOUTS)
    text = text_of(page)
    assert "When the dynamic reward stops restraining" in text
    assert page.count("<svg") == 10
    assert (
        "With 4 classes a group, 55% of the groups are won by luck at 3 rollouts and 98% at 15. "
        "HM in domain falls: 0.900 [0.890, 0.910] and 0.790 [0.780, 0.800], highest at 3 rollouts "
        "and first below that at 15, with 98% of the groups won by luck. "
        "HM out of domain is level, within the intervals: 0.860 [0.850, 0.870] and 0.850 "
        "[0.840, 0.860], highest at 3 rollouts. Of the images out of domain without a visible "
        "marking, 15% and 36% are answered wrongly. With 8 classes"
    ) in text
    assert (
        "HM in domain rises: 0.911 [0.900, 0.920] and 0.940 [0.935, 0.950], highest at 15 "
        "rollouts. HM out of domain cannot be compared between the two: \N{EN DASH} and 0.850 "
        "[0.840, 0.860], highest at 5 rollouts and first below that at 15, with 86% of the groups "
        "won by luck. The judge failed on 93 of 360 samples, which count nowhere."
    ) in text
    assert "When the dynamic reward" not in build(tmp_path, results)


def test_ablations_are_tabled_by_group_beside_the_published_ones(tmp_path, results):
    rows = [
        ("rollouts_5", "speciarl", "num_generations: 5", name, 1, 350, 7, 0.9, 0.88, 0.92, *more)
        for name, more in {
            "fine-grained": (-0.012, -0.02, -0.004), "far <away>": (None, None, None),
        }.items()
    ]  # fmt: skip
    columns = ("run", "like", "differs", "name", "seeds", "samples", "failed", "hm", "hm_low",
               "hm_high", "difference", "low", "high")  # fmt: skip
    page = build(tmp_path, results, ablations=pl.DataFrame(rows, columns, orient="row"))
    said = text_of(page)
    assert "One thing changed" in said and "num_generations: 5" in said
    assert "1 350 7 0.900 [0.880, 0.920] -0.012 [-0.020, -0.004] 0.883" in said
    assert "far &lt;away&gt;. Difference" in said
    assert "One thing changed" not in build(tmp_path, results)


def test_rollouts_of_another_layout_is_refused_and_one_row_says_nothing():
    with pytest.raises(DataError, match="lacks lucky_share, out_hm"):
        rollouts_findings(ROLLOUTS.drop("lucky_share", "out_hm"))
    assert rollouts_findings(ROLLOUTS.head(1)) == []
    assert rollouts_chart(ROLLOUTS.clear(), "none") is None


def test_many_runs_and_groups(tmp_path):
    runs = [f"an_ablation_with_a_rather_long_name_{i}" for i in range(15)]
    results = scored({run: ["specific", "wrong"] for run in runs},
                    {f"set{i}": f"group {i}" for i in range(7)})  # fmt: skip
    training = dict.fromkeys(runs[:6], metrics(200, rewards=True))  # 5,760 rows in a chart
    page = build(tmp_path, results, runs=runs, training=training)
    assert all(run in page for run in runs)


def test_what_dvc_plots_are_the_shares_of_all_outcomes(results, tmp_path):
    build(tmp_path, results)
    curves = pl.read_csv(tmp_path / "plots/training.csv")
    assert curves["run"].unique().to_list() == ["speciarl"]  # the only one with rewards
    assert curves["step"].to_list() == list(range(300))
    means = [(step + 0.5) / 300 for step in range(300)]  # of two seeds, one step apart
    assert curves["reward"].to_list() == pytest.approx(means, abs=5e-5)
    assert curves["kl"].to_list() == pytest.approx([step / 1000 for step in range(300)])
    assert curves["completion_length"].to_list() == [step / 2 for step in range(300)]
    assert curves["misses"].to_list() == [step % 3 for step in range(300)]
    levels = pl.read_csv(tmp_path / "plots/levels.csv")
    drawn = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["plots"]
    for ((file, column),) in [plot["y"].items() for one in drawn for plot in one.values()]:
        table = pl.read_csv(tmp_path / file.removeprefix("results/"))
        assert column in table.columns
    assert levels.select("run", "group").rows() == [
        (run, group) for group in dict.fromkeys(GROUPS.values()) for run in RUNS
    ]
    for table in (curves.drop_nulls(), levels):
        sums = table.select(pl.sum_horizontal(OUTCOMES)).to_series().to_list()
        assert len(sums) and sums == pytest.approx([1.0] * len(sums), abs=1e-3)
