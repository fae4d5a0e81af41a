"""bench/training.py: where a step's seconds go, for a policy of any shape."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from speciarl.policy.miniature.architecture import SPECIAL

BENCH = Path(__file__).parents[2] / "bench/training.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_training", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_policy_of_any_shape_is_timed_on_a_cpu(bench, capsys):
    bench.main(["--shape", "tiny", "--new-tokens", "3", "--attention", "sdpa", "none_such"])
    head, columns, measured, refused = capsys.readouterr().out.splitlines()
    assert head == (
        "tiny, CPU, one thread: 1 steps of 2 prompts x 2 rollouts, up to 3 tokens each, 2 in a pass"
    )
    assert columns.split() == ["attention", "s", "a", "step", "tokens/s", "GiB", *bench.PHASES]
    name, step, tokens, _, *shares = measured.split()
    assert name == "sdpa"
    assert float(step) * float(tokens) == pytest.approx(2 * 2 * 3, rel=0.2)  # rounded figures
    shares = [float(share.removesuffix("%")) for share in shares]
    assert all(share > 0 for share in shares) and sum(shares) == pytest.approx(100, abs=0.5)
    assert refused.startswith("none_such") and "none_such" in refused[10:]


def test_the_miniature_is_made_where_it_is_not_there(bench, capsys, tmp_path):
    (tmp_path / "params.yaml").write_bytes((BENCH.parents[1] / "params.yaml").read_bytes())
    job = bench.miniature(tmp_path, tmp_path, 3)
    assert "has no trained miniature" in capsys.readouterr().out
    assert (type(job), job.settings.grpo.steps) == (bench.Drawn, 3)
    assert job.settings.grpo.prompts_per_step == 16


def test_the_paper_s_policy_is_of_its_size_and_needs_a_gpu(bench):
    """8,292,166,656 parameters, as the weights of Qwen2.5-VL-7B-Instruct have."""
    vocabulary = {mark: i for i, mark in enumerate(SPECIAL)}
    model = bench.drawn_model("7b", vocabulary, "sdpa", device="meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == 8_292_166_656
    assert model.dtype == torch.bfloat16
    with pytest.raises(SystemExit, match=re.escape("--shape 7b needs a GPU, and none is here")):
        bench.main(["--shape", "7b"])


@pytest.mark.parametrize(
    ("outer", "inner", "spent"),
    [
        ("reward", "images", {"rest": 1.0, "reward": 2.0 + 4.0, "images": 3.0}),
        ("reference", "log-probs", {"rest": 1.0, "reference": 9.0}),  # without adapters
    ],
)
def test_a_phase_within_another_counts_for_itself_but_in_the_reference(
    outer, inner, spent, bench, monkeypatch
):
    seconds = iter([0.0, 1.0, 3.0, 6.0, 10.0])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(seconds))
    clock = bench.Clock()
    with clock.phase(outer), clock.phase(inner):
        pass
    assert clock.spent == spent
