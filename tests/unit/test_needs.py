"""bench/needs.py, and docs/paper.md, which says what it prints."""

import importlib.util
import re

import pytest
import yaml

from speciarl.config import load
from speciarl.training import checkpoints
from speciarl.training.batches import plan_batches
from tests.presets import ROOT, files_of

PAGE = (ROOT / "docs/paper.md").read_text()
CONFIG = re.compile(r"--config ((?:'\w+=\{.*?\}' ?)+)")


def module(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"bench/{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def needs():
    return module("needs")


def of(needs, preset):
    return needs.Needs(load(files_of(preset)), tokens=200, rate=5000, flops=4e14, start=3 / 60)


def test_the_page_says_what_is_printed(needs):
    assert "\n".join(needs.describe(of(needs, "paper"))) in PAGE


def test_the_rehearsal_takes_one_gpu_less_than_an_hour(needs):
    rows = list(of(needs, "rehearsal").rows())
    assert {row.gpus for row in rows} == {1}
    minutes = 60 * sum(row.at_most for row in rows)
    assert f"{minutes:.0f} minutes on the GPU" in PAGE and minutes < 55
    questions = sum(row.completions for row in rows if (row.stage, row.run) != ("train", "sft"))
    assert f"at most\n{questions:,} questions" in PAGE


def test_the_shape_is_that_of_the_training_bench(needs):
    text, vision = module("training").SHAPES["7b"].values()
    assert text["num_hidden_layers"] == needs.LAYERS
    assert text["hidden_size"] == needs.WIDTH
    assert text["intermediate_size"] == needs.INNER
    assert text["vocab_size"] == needs.VOCABULARY
    shared = text["num_attention_heads"] / text["num_key_value_heads"]
    assert text["hidden_size"] / shared == needs.KEYS
    assert vision["depth"] == needs.BLOCKS
    assert vision["hidden_size"] == needs.VISUAL_WIDTH
    assert vision["intermediate_size"] == needs.VISUAL_INNER
    assert needs.KEYS_AND_VALUES == 57_344
    assert checkpoints.KEPT == needs.KEPT


def given(options):
    """Sections by their names, of the values after --config."""
    pairs = re.findall(r"'(\w+)=(\{.*?\})'(?= |$)", options)
    return {name: yaml.safe_load(text.replace("NAME", "a").replace("DIRECTORY", "b"))
            for name, text in pairs}  # fmt: skip


@pytest.mark.parametrize("options", CONFIG.findall(PAGE))
def test_what_the_page_gives_as_options_is_valid(options):
    over = given(options)
    assert over
    params = load(files_of("paper" if "runs" in over or "policy" in over else "rehearsal"), over)
    if "speciarl" in params.runs:  # refuses numbers that do not divide
        plan_batches(params.grpo, params.runs["speciarl"].num_generations, params.training.devices)


def test_the_page_s_file_for_a_node_is_valid(tmp_path):
    lines = re.search(r"`mine\.yaml`:\n\n((?:    .*\n)+)", PAGE)[1]
    (tmp_path / "mine.yaml").write_text(re.sub("^    ", "", lines, flags=re.MULTILINE))
    params = load([*files_of("paper"), tmp_path / "mine.yaml"])
    assert (params.judge.server.devices, params.evaluation.shards) == (4, 8)
