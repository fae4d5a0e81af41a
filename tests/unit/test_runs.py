"""Rows that are like others, keys of their own, and images and policy of one scale."""

import pytest
import yaml

from speciarl.config import load, parse
from speciarl.config.runs import Run, differing
from speciarl.errors import ConfigError
from tests.presets import ROOT

FILE = ROOT / "params.yaml"
VALUES = yaml.safe_load(FILE.read_text())
MODEL = {"kind": "server", "name": "judge", "revision": "1"}
JUDGED = {"backend": "cascade", "model": MODEL, "server": {"base_url": "http://localhost:1/v1"}}
ROWS = {
    "first": {"method": "grpo", "reward": "binary", "grpo": {"beta": 0.5, "epsilon": 0.1}},
    "one": {"like": "first", "noise": 0.25, "grpo": {"beta": 0.0}},
    "two": {"like": "one", "reward": "dynamic"},
}


def with_runs(rows, **sections):
    return parse(VALUES | {"runs": rows} | sections)


def test_a_row_has_what_the_row_that_it_is_like_has_but_for_what_it_names():
    params = with_runs(ROWS)
    assert params.runs["two"] == Run(
        like="one", method="grpo", reward="dynamic", noise=0.25,
        grpo={"beta": 0.0, "epsilon": 0.1},
    )  # fmt: skip
    grpo = params.section_of("two", "grpo")
    assert grpo == params.grpo.model_copy(update={"beta": 0.0, "epsilon": 0.1})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"one": {"like": "nowhere"}}, r"runs\.one\.like: 'nowhere' is not one of \['first'"),
        ({"one": {"like": "two"}}, r"runs\.\w+\.like: '\w+' leads back to the row"),
        ({"one": {"like": "one"}}, r"runs\.one\.like: 'one' leads back to the row"),
        ({"one": {"like": "first", "noise": 1.5}}, r"runs\.one\.noise is 1\.5"),
        ({"one": {"verifier": {"backend": "llm"}}}, r"runs\.one\.verifier\.backend: llm needs a"),
        ({"one": {"verifier": {"nonsense": 1}}}, r"runs\.one\.verifier\.nonsense is not a param"),
    ],
)
def test_a_row_that_cannot_be_is_refused_in_one_line(rows, said):
    with pytest.raises(ConfigError, match=f"^params: {said}") as refused:
        with_runs(ROWS | rows)
    assert "\n" not in str(refused.value)


def test_with_a_row_those_that_are_like_it_are_left_out():
    assert [*with_runs(ROWS | {"first": None, "other": {}}).runs] == ["other"]
    assert [*with_runs(ROWS | {"one": None}).runs] == ["first"]


@pytest.mark.parametrize("like", [1, ["first"], {"a": 1}])
def test_like_is_a_name(like):
    with pytest.raises(ConfigError, match=r"runs\.one\.like"):
        with_runs({"first": {}, "one": {"like": like}})


def test_a_row_has_keys_of_the_verifier_of_its_own_at_any_depth():
    params = with_runs(
        {"first": {}, "one": {"verifier": {"backend": "llm", "model": {"prompt": "checklist"}}}},
        verifier=JUDGED,
    )
    assert params.section_of("first", "verifier") == params.verifier
    own = params.section_of("one", "verifier")
    assert (own.backend, own.model.prompt, own.model.name) == ("llm", "checklist", "judge")
    assert own.server == params.verifier.server


def test_what_rows_differ_by_is_told_by_key():
    rows = with_runs(ROWS).model_dump()["runs"]
    assert dict(differing(rows["one"], rows["first"])) == {"noise": 0.25, "grpo.beta": 0.0}
    assert dict(differing(rows["two"], rows["one"])) == {"reward": "dynamic"}
    assert dict(differing({"grpo": {}}, {"grpo": {"beta": 1}})) == {"grpo.beta": None}


def test_ablations_change_no_dataset_s_being_unseen():
    trained = {"method": "sft", "training_set": "foods"}
    sets = VALUES["training_sets"] | {"foods": {"datasets": ["food101"]}}
    rows = {"first": {"method": "sft"}, "one": {**trained, "like": "first"}}
    assert "food101" in with_runs(rows, training_sets=sets).unseen
    assert "food101" not in with_runs({**rows, "two": trained}, training_sets=sets).unseen


HUB = {"source": "hub", "name": "Qwen/Qwen2.5-VL-7B-Instruct", "revision": "c" * 40}


@pytest.mark.parametrize(
    ("images", "policy", "set_this"),
    [
        ("real", {}, "policy.source: hub"),
        ("miniature", HUB, "datasets.mirror: real"),
        ("miniature", {"source": "directory", "path": "models/mine"}, "datasets.mirror: real"),
    ],
)
def test_photographs_and_the_miniature_or_the_reverse_have_to_be_asked_for(
    images, policy, set_this
):
    over = {"datasets": {"mirror": images}, "policy": policy}
    with pytest.raises(ConfigError) as refused:
        load([FILE], over)
    said = str(refused.value)
    assert said.startswith("params: datasets.mirror is ") and "\n" not in said
    assert f"set {set_this}, or datasets.mixed_scale: true" in said
    over["datasets"]["mixed_scale"] = True
    assert load([FILE], over).datasets.mirror == images


def test_custom_datasets_go_with_any_policy():
    folders = {"garden": {"path": "images/garden"}}
    own = VALUES["datasets"] | {"splits": {}, "folders": folders}
    sets = {"cub200": {"datasets": ["garden"]}}
    parse(VALUES | {"datasets": own, "groups": {}, "training_sets": sets, "policy": HUB})


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"source": "hub"}, "policy: source: hub needs name and revision"),
        (HUB | {"revision": "main"}, "policy.revision is 'main': "),
        (HUB | {"path": "x"}, "policy: path goes with source: directory"),
    ],
)
def test_a_model_of_the_hub_is_one_commit(policy, said):
    with pytest.raises(ConfigError, match=f"^params: {said}"):
        load([FILE], {"policy": policy, "datasets": {"mirror": "real"}})
