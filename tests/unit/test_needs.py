"""bench/needs.py, and docs/paper.md, which says what it prints."""

import importlib.util
import re
import shlex

import pytest
from snakemake.cli import parse_config

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


@pytest.mark.parametrize("options", CONFIG.findall(PAGE))
def test_what_the_page_gives_as_options_is_valid(options):
    over = parse_config(shlex.split(options))  # as Snakemake does
    assert over
    params = load(files_of("paper" if "policy" in over else "rehearsal"), over)
    assert params != load(files_of("rehearsal"))


@pytest.fixture
def file_of(tmp_path):
    """Writes what the page has for a file, whose name stands before it."""

    def write(name):
        lines = re.search(rf"`{name}`[^\n]*\n\n((?:    .*\n)+)", PAGE)[1]
        (tmp_path / name).write_text(re.sub("^    ", "", lines, flags=re.MULTILINE))
        return tmp_path / name

    return write


def test_the_page_s_files_for_a_node_are_valid(file_of):
    files = [*files_of("paper"), file_of("mine.yaml")]
    params = load(files)
    assert (params.judge.server.devices, params.evaluation.shards) == (4, 8)
    assert list(load([*files, file_of("first.yaml")]).runs) == ["zero_shot", "be_specific"]


def test_the_rehearsal_on_six_gpus_divides(file_of):
    params = load([*files_of("rehearsal"), file_of("six.yaml")])
    assert params.job("train", "speciarl").gpu == 6
    plan_batches(params.grpo, params.runs["speciarl"].num_generations, params.training.devices)
