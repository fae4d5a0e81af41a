"""Which checkpoints are of a run: those made with its settings from its inputs, however reached."""

from dataclasses import replace

import polars as pl
import pytest
import torch

from speciarl.policy import loading
from speciarl.training import run, sft, verified
from speciarl.training.result import TrainingResult

MODEL = {"kind": "server", "name": "judge", "revision": "1"}
SERVER = {"base_url": "http://localhost:1/v1"}
SECTIONS = {
    "run": {"method": "grpo"},
    "verifier": {"backend": "llm", "model": MODEL, "server": SERVER},
    "grpo": {},
    "sft": {},
    "lora": {},
}

OTHER_RUN = {
    "reward": ("run", "reward", "binary"),
    "num_generations": ("run", "num_generations", 4),
    "prompt": ("run", "prompt", "be_specific"),
    "training set": ("run", "training_set", "other"),
    "seed": ("run", "seeds", [1]),
    "prediction that counts": ("run", "answer_tag", "last"),
    "steps": ("grpo", "steps", 81),
    "learning rate": ("grpo", "learning_rate", 2e-3),
    "rank": ("lora", "rank", 5),
    "judge": ("verifier", "model", {**MODEL, "name": "another"}),
    "judge's revision": ("verifier", "model", {**MODEL, "revision": "2"}),
    "judge's prompt": ("verifier", "model", {**MODEL, "prompt": "checklist"}),
    "backend": ("verifier", "backend", "cascade"),
}
SAME_RUN = {
    "nothing": ("verifier", "backend", "llm"),
    "server": ("verifier", "server", {"base_url": "http://elsewhere:2/v1", "concurrency": 3}),
    "failures": ("verifier", "max_failures", 0.5),
    "store": ("verifier", "store_timeout", 7.0),
}


@pytest.fixture
def files(tmp_path):
    inputs = tmp_path / "in"
    (inputs / "base").mkdir(parents=True)
    (inputs / "base/weights").write_text("w")
    (inputs / "known.parquet").write_bytes(b"verdicts")
    pl.DataFrame({"class_name": ["a"], "image": ["a.png"]}).write_parquet(inputs / "samples")
    return run.Inputs(
        images=inputs,
        base=inputs / "base",
        samples=inputs / "samples",
        verdicts=[inputs / "known.parquet"],
        facts=inputs,
        store=inputs / "store",
    )


@pytest.fixture
def key_of(monkeypatch, tmp_path, files):
    """Trains nothing, and returns the name of the folder in which checkpoints would be."""
    seen = []

    def trained(*policy_and_data, work, **how):
        seen.append(work)
        (how["into"] / "adapter").write_text(str(how["seed"]))
        return TrainingResult(pl.DataFrame({"step": [0], "loss": [float(how["seed"])]}))

    class Model:
        def train(self):
            return self

    monkeypatch.setattr(loading, "load_model", lambda base: Model())
    monkeypatch.setattr(loading, "load_processor", lambda base: None)
    monkeypatch.setattr(sft, "train_sft", trained)
    monkeypatch.setattr(verified, "train_verified", trained)

    def train(inputs=files, **sections):
        out = tmp_path / "out"
        outputs = run.Outputs(
            out / "model", out / "metrics", out / "verdicts", out / "predictions", out / "work"
        )
        settings = run.Settings.parse(**(SECTIONS | sections))
        run.train("name", settings, inputs, outputs, threads=1)
        assert seen[-1].parent == outputs.work and not outputs.work.exists()
        return seen[-1].name

    return train


def with_change(change):
    section, key, value = change
    return {section: {**SECTIONS[section], key: value}}


@pytest.mark.parametrize("change", OTHER_RUN)
def test_other_settings_are_another_run(change, key_of):
    assert key_of(**with_change(OTHER_RUN[change])) != key_of()


@pytest.mark.parametrize("change", SAME_RUN)
def test_how_a_judge_is_reached_makes_no_other_run(change, key_of):
    assert key_of(**with_change(SAME_RUN[change])) == key_of()


def test_a_supervised_run_goes_by_its_own_settings(key_of):
    method = {"run": {"method": "sft"}}
    assert len({key_of(), key_of(**method), key_of(**method, sft={"epochs": 1.0})}) == 3


@pytest.mark.parametrize("name", ["base/weights", "samples", "known.parquet"])
def test_other_inputs_are_another_run(name, key_of, files):
    before = key_of()
    path = files.images / name
    if name == "samples":
        pl.DataFrame({"class_name": ["b"], "image": ["a.png"]}).write_parquet(path)
    else:
        path.write_bytes(b"other")
    assert key_of() != before


def test_what_an_earlier_run_had_more_of_makes_another_run(key_of, files):
    assert key_of(replace(files, verdicts=())) != key_of()


def test_every_seed_is_trained_once_and_its_rows_are_marked(monkeypatch, tmp_path, files):
    trained = []

    def fail_at(*policy_and_data, seed, into, **how):
        if seed == 9 and 9 not in trained:
            trained.append(seed)
            raise KeyboardInterrupt
        trained.append(seed)
        (into / "adapter").write_text(str(seed))
        return TrainingResult(pl.DataFrame({"step": [0, 1], "loss": [float(seed), 0.5]}))

    monkeypatch.setattr(loading, "load_model", lambda base: torch.nn.Linear(1, 1))
    monkeypatch.setattr(loading, "load_processor", lambda base: None)
    monkeypatch.setattr(sft, "train_sft", fail_at)
    tables = [tmp_path / f"{name}.parquet" for name in ("metrics", "verdicts", "predictions")]
    outputs = run.Outputs(tmp_path / "model", *tables, tmp_path / "work")
    settings = run.Settings.parse(**(SECTIONS | {"run": {"method": "sft", "seeds": [7, 9]}}))
    with pytest.raises(KeyboardInterrupt):
        run.train("name", settings, files, outputs, threads=1)
    assert not outputs.model.exists()
    run.train("name", settings, files, outputs, threads=1)
    assert trained == [7, 9, 9]  # what was finished is not trained again
    assert not outputs.work.exists()
    assert {p.name: p.joinpath("adapter").read_text() for p in outputs.model.glob("*/")} == {
        "7": "7", "9": "9",
    }  # fmt: skip
    rows = pl.read_parquet(outputs.metrics).select("seed", "step", "loss").rows()
    assert rows == [(7, 0, 7.0), (7, 1, 0.5), (9, 0, 9.0), (9, 1, 0.5)]
