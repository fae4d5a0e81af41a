"""Examples and the store's economy: what is chosen, in which order, and what is counted."""

import base64
import io
from pathlib import Path

import polars as pl
import pytest
from PIL import ExifTags, Image

from speciarl.config import VerifierConfig
from speciarl.report import examples as module
from speciarl.report.economy import Economy, in_evaluation, in_training
from speciarl.report.examples import Said, chosen, examples, outcomes, thumbnail
from speciarl.schemas import PREDICTIONS, VERDICTS
from speciarl.verdicts import LABELS
from tests.report_input import PUBLISHED

RUNS = ["zero_shot", "speciarl"]


def judged(*rows: tuple, dataset: str = "birds", decided_by: str = "taxonomy") -> pl.LazyFrame:
    """Args: rows: run, seed, image, rollout, prediction, verdict (or why there is none)."""
    return pl.LazyFrame(
        [
            {
                "run": run, "seed": seed, "dataset": dataset, "sample_id": f"{dataset}/{image}",
                "class_name": image.split("-")[0], "rollout": rollout, "prediction": prediction,
                "normalized": prediction,
                "verdict": verdict if verdict in LABELS else None,
                "decided_by": decided_by if verdict in LABELS else verdict,
                "several_tagged": False,
            }
            for run, seed, image, rollout, prediction, verdict in rows
        ],
        schema_overrides={"verdict": pl.Enum(LABELS), "prediction": pl.String},
    )  # fmt: skip


def test_of_several_seeds_the_first_speaks_and_of_several_samples_the_best():
    rows = judged(
        ("zero_shot", 7, "gull", 0, "bird", "generic"),
        ("speciarl", 43, "gull", 0, "herring gull", "specific"),
        ("speciarl", 42, "gull", 0, "tern", "wrong"),
        ("speciarl", 42, "gull", 1, "seabird", "less specific"),
        ("speciarl", 42, "gull", 2, "a gull", "less specific"),
        ("another", 42, "gull", 0, "herring gull", "specific"),
    )
    found = outcomes(rows, RUNS, "zero_shot")
    assert found.select("run", "prediction", "outcome", "steps", "change").rows() == [
        ("zero_shot", "bird", "generic", 0, "same"),
        ("speciarl", "seabird", "less specific", 1, "gained"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("wrong", "specific", "gained"), ("generic", "wrong", "lost"), ("wrong", "wrong", "same"),
        ("unparsable", "wrong", "gained"), ("abstain", "unparsable", "lost"),
        ("unparsable", "unparsable", "same"), ("failed", "specific", None),
        ("specific", "failed", None),
    ],
)  # fmt: skip
def test_a_change_is_a_step_on_the_ladder_and_unknown_where_the_judge_failed(before, after, change):
    said = {"unparsable": None, "failed": "gull"}
    rows = [
        (run, 0, "gull", 0, said.get(verdict, "bird"), verdict)
        for run, verdict in zip(RUNS, (before, after), strict=True)
    ]
    found = outcomes(judged(*rows), RUNS, "zero_shot").filter(run="speciarl")
    assert found.select("outcome", "change").row(0) == (after, change)


def changed(levels: dict[str, tuple[str, str]], dataset: str) -> pl.LazyFrame:
    rows = [
        (run, 0, image, 0, "x", verdict)
        for image, pair in levels.items()
        for run, verdict in zip(RUNS, pair, strict=True)
    ]
    return judged(*rows, dataset=dataset)


def test_the_worst_mistakes_and_best_gains_of_each_dataset_come_first():
    birds = {
        "a-1": ("generic", "generic"), "a-2": ("specific", "wrong"), "a-3": ("specific", "generic"),
        "b-1": ("wrong", "specific"), "b-2": ("generic", "specific"), "b-3": ("failed", "generic"),
    }  # fmt: skip
    foods = {"soup": ("generic", "wrong"), "ramen": ("generic", "less specific")}
    said = outcomes(
        pl.concat([changed(birds, "birds"), changed(foods, "foods")]), RUNS, "zero_shot"
    )
    order = chosen(said, "speciarl")["sample_id"].to_list()
    assert order[:4] == ["birds/a-2", "foods/soup", "birds/b-1", "foods/ramen"]
    assert order[4:6] == ["birds/a-3", "birds/b-2"]
    assert sorted(order[6:]) == ["birds/a-1", "birds/b-3"]


def test_classes_take_turns_and_no_more_than_the_most_are_shown(monkeypatch):
    levels = {f"{name}-{i:02}": ("generic", "specific") for name in "abc" for i in range(20)}
    said = outcomes(changed(levels, "birds"), RUNS, "zero_shot")
    shown = chosen(said, "speciarl")["class_name"].to_list()
    assert shown == ["a", "b", "c"] * 4  # CHANGED of them
    monkeypatch.setattr(module, "MOST", 5)
    assert chosen(said, "speciarl")["class_name"].to_list() == ["a", "b", "c", "a", "b"]


def pixels(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


def test_thumbnails_are_small_and_upright(tmp_path):
    picture = Image.new("RGB", (400, 200), "red")
    picture.paste("blue", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned right: what was left comes to the top
    picture.save(tmp_path / "turned.jpg", exif=exif)
    shown = pixels(thumbnail("turned.jpg", tmp_path))
    assert (shown.format, shown.size) == ("WEBP", (48, 96))
    red, _, blue = shown.convert("RGB").getpixel((24, 10))
    assert blue > 200 > 60 > red
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert thumbnail("broken.jpg", tmp_path) is None and thumbnail("none.jpg", tmp_path) is None


def test_an_example_has_all_runs_in_their_order(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "gull.png")
    rows = changed({"gull": ("generic", "specific"), "tern": ("generic", "generic")}, "birds")
    manifest = pl.DataFrame(
        {"dataset": "birds", "sample_id": ["birds/gull", "birds/tern"], "image": ["gull.png", "x"]}
    )
    first, second = examples(rows, manifest, RUNS[::-1], PUBLISHED, tmp_path)
    assert (first.dataset, first.class_name, second.thumbnail) == ("birds", "gull", None)
    assert first.said == [
        Said("speciarl", "x", "specific", "gained"), Said("zero_shot", "x", "generic", "same"),
    ]  # fmt: skip
    assert pixels(first.thumbnail).size == (8, 8)
    assert examples(rows, manifest, ["zero_shot"], PUBLISHED, tmp_path) == []
    assert examples(rows, manifest, ["speciarl"], PUBLISHED, Path()) == []


# Economy


def config(price: float | None) -> VerifierConfig:
    return VerifierConfig(
        backend="cascade",
        model={"kind": "server", "name": "judge", "revision": "1"},
        server={"base_url": "http://localhost:1/v1", "price": price},
    )


def test_calls_are_the_distinct_pairs_that_a_model_judged():
    predictions = pl.DataFrame(
        [(0, "Gull", "sea bird", "generic", 5), (1, "Gull", "sea bird", "generic", 2),
         (1, "Gull", "bird", "generic", 4), (1, "Gull", "not judged", None, 9)],
        PREDICTIONS, orient="row",
    )  # fmt: skip
    verdicts = pl.DataFrame(
        [("Gull", "sea bird", "generic", "llm"), ("Gull", "bird", "generic", "taxonomy")],
        VERDICTS, orient="row",
    )  # fmt: skip
    by_run = {"a": predictions, "b": predictions}, {"a": verdicts, "b": verdicts}
    found = in_training(*by_run, config(price=2.0))
    assert found == Economy("training", needed=22, by_model=14, calls=1, price=2.0)
    assert found.saved == pytest.approx(13 * 2 / 1000)
    assert in_training(*by_run, config(price=None)).saved is None


def test_in_evaluation_what_has_no_verdict_needed_none():
    rows = [
        ("zero_shot", 0, "gull-1", 0, "sea bird", "generic"),
        ("speciarl", 0, "gull-2", 0, "sea bird", "generic"),
        ("speciarl", 0, "gull-3", 0, None, "unparsable"),
    ]
    found = in_evaluation(judged(*rows, decided_by="local"), config(price=None))
    assert found == Economy("evaluation", needed=2, by_model=2, calls=1, price=None)
    found = in_evaluation(judged(*rows), VerifierConfig())
    assert (found.by_model, found.calls, found.saved) == (0, 0, None)
