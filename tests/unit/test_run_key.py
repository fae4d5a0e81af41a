"""Which checkpoints are of a run: those made with its settings from its inputs, however reached."""

import errno
import json
import shutil
from dataclasses import replace
from typing import get_args

import polars as pl
import pytest

from speciarl.config import Run
from speciarl.errors import DiskError, TrainingError
from speciarl.policy import loading
from speciarl.schemas import PREDICTIONS, VERDICTS
from speciarl.training import job, run, sft, verified

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
    "noise": ("run", "noise", 0.1),
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
    return job.Inputs(
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

    def trained(given):
        seen.append(given.work)
        return job.TrainingResult(pl.DataFrame({"step": [0], "loss": [1.0]}))

    monkeypatch.setattr(sft, "train_sft", trained)
    monkeypatch.setattr(verified, "train_verified", trained)

    def train(inputs=files, **sections):
        out = tmp_path / "out"
        outputs = run.Outputs(
            out / "model", out / "metrics", out / "verdicts", out / "predictions", out / "work"
        )
        settings = job.Settings(**(SECTIONS | sections))
        run.train("name", settings, inputs, outputs, threads=1)
        assert seen[-1].parent == outputs.work
        assert [*outputs.work.iterdir()] == seen[-1:]
        assert [path.name for path in seen[-1].iterdir()] == [run.FINISHED]
        shutil.rmtree(outputs.work)
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


@pytest.mark.parametrize(
    ("name", "other"), [("common", True), ("birds", True), ("garden", False), ("files", True)]
)
def test_facts_and_archives_of_its_own_datasets_tell_a_run(name, other, key_of, files):
    """Not those of a dataset that it knows nothing of."""
    own = replace(files, classes={"birds": ["a"]}, archives=[files.images / "files.json"])
    for known in ("common.yaml", "birds.yaml", "garden.yaml", "files.json"):
        (files.images / known).write_text("as before")
    before = key_of(own)
    (path,) = files.images.glob(f"{name}.*")
    path.write_text("other")
    assert (key_of(own) != before) == other


def test_other_classes_to_name_are_another_run(key_of, files):
    assert key_of(replace(files, classes={"garden": ["rose"]})) != key_of()


@pytest.mark.parametrize("method", ["grpo", "sft"])
def test_other_code_is_another_run_and_told(method, key_of, files, tmp_path, monkeypatch, capsys):
    settings = {"run": {"method": method}}
    before = key_of(**settings)
    asked = []
    changed = {"speciarl/training/any.py": "0123"}
    monkeypatch.setattr(run, "code_of", lambda module, unread: asked.append(module.name) or changed)
    (tmp_path / "out/work" / before / "checkpoint-3").mkdir(parents=True)
    assert key_of(**settings) != before
    assert asked == [{"grpo": "verified.py", "sft": "sft.py"}[method]]
    assert "begun with other parameters, files or code is left aside" in capsys.readouterr().err


def test_what_an_earlier_run_had_more_of_makes_another_run(key_of, files):
    assert key_of(replace(files, verdicts=())) != key_of()


def test_every_method_of_the_parameters_is_in_the_table():
    methods = [*get_args(Run.model_fields["method"].annotation)]
    assert [*run.METHODS] == methods == [*run.MODULES]


@pytest.mark.parametrize("method", run.METHODS)
def test_each_method_leaves_its_result_in_full(method, monkeypatch, tmp_path, files):
    """Of `none` the note of its settings alone."""
    given = []
    result = job.TrainingResult(
        pl.DataFrame({"step": [3], "loss": [1.0]}),
        pl.DataFrame([("a", "x", "wrong", "taxonomy")], schema=VERDICTS, orient="row"),
        pl.DataFrame([(3, "a", "x", "wrong", 2)], schema=PREDICTIONS, orient="row"),
    )

    def trained(one):
        given.append(one)
        return result

    for module, name in ((sft, "train_sft"), (verified, "train_verified")):
        monkeypatch.setattr(module, name, trained)
    paths = [tmp_path / name for name in ("model", "metrics", "verdicts", "predictions", "work")]
    settings = job.Settings(run={"method": method, "seeds": [7, 9]}, verifier={})
    run.train("name", settings, files, run.Outputs(*paths), threads=3)
    if method == "none":
        result = job.TrainingResult(pl.DataFrame(schema=run.METRICS))
    else:
        assert [one.seed for one in given] == [7, 9]
        for one in given:
            assert (one.name, one.settings, one.inputs, one.threads) == ("name", settings, files, 3)
    metrics, *kept = (pl.read_parquet(path) for path in paths[1:4])
    assert metrics.schema == {"seed": pl.Int64, **run.METRICS}
    steps = [] if method == "none" else [(7, 3, 1.0), (9, 3, 1.0)]
    assert metrics.select("seed", "step", "loss").rows() == steps
    verdicts, predictions = kept
    assert verdicts.to_dicts() == result.verdicts.to_dicts()
    said = [{"seed": seed, **row} for seed in (7, 9) for row in result.predictions.to_dicts()]
    assert predictions.to_dicts() == said
    for seed in (7, 9):
        note = json.loads((paths[0] / str(seed) / "run.json").read_text())
        assert note == {"method": method, "seed": seed}


def test_a_seed_that_is_finished_is_kept_when_the_next_one_is_interrupted(
    monkeypatch, tmp_path, files
):
    trained = []

    def fail_once(one):
        trained.append(one.seed)
        if trained == [7, 9]:
            raise KeyboardInterrupt
        (one.into / "adapter").write_text(str(one.seed))
        return job.TrainingResult(pl.DataFrame({"step": [0], "loss": [1.0]}))

    monkeypatch.setattr(sft, "train_sft", fail_once)
    paths = [tmp_path / name for name in ("model", "metrics", "verdicts", "predictions", "work")]
    settings = job.Settings(run={"method": "sft", "seeds": [7, 9]}, verifier={})
    with pytest.raises(KeyboardInterrupt):
        run.train("name", settings, files, run.Outputs(*paths), threads=1)
    assert not paths[0].exists()
    run.train("name", settings, files, run.Outputs(*paths), threads=1)
    assert trained == [7, 9, 9]
    assert [(paths[0] / f"{seed}/adapter").read_text() for seed in (7, 9)] == ["7", "9"]


def test_one_more_seed_trains_that_one_only_and_one_that_is_left_out_goes(
    monkeypatch, tmp_path, files
):
    trained = []

    def train_sft(one):
        trained.append(one.seed)
        (one.work / "checkpoint-4").mkdir()
        (one.into / "adapter").write_text(str(one.seed))
        return job.TrainingResult(pl.DataFrame({"step": [one.seed], "loss": [1.0]}))

    monkeypatch.setattr(sft, "train_sft", train_sft)
    paths = [tmp_path / name for name in ("model", "metrics", "verdicts", "predictions", "work")]
    for seeds, due in (([7, 9], [7, 9]), ([9, 5, 7], [5]), ([5], []), ([7, 5], [7])):
        settings = job.Settings(run={"method": "sft", "seeds": seeds}, verifier={})
        trained.clear()
        run.train("name", settings, files, run.Outputs(*paths), threads=1)
        assert trained == due
        found = {path.name: (path / "adapter").read_text() for path in paths[0].glob("[0-9]*")}
        assert found == {str(seed): str(seed) for seed in seeds}
        assert pl.read_parquet(paths[1])["step"].to_list() == seeds
        assert len([*paths[-1].iterdir()]) == len(seeds)
        assert not [*paths[-1].glob("*/checkpoint-*")]


def test_the_policy_is_loaded_to_train_on_the_threads_that_the_job_has(monkeypatch, files):
    threads = []

    class Model:
        training = False

        def train(self):
            self.training = True
            return self

    monkeypatch.setattr("torch.set_num_threads", threads.append)
    monkeypatch.setattr(loading, "load_model", lambda base: Model())
    monkeypatch.setattr(loading, "load_processor", lambda base: base)
    settings = job.Settings(run={}, verifier={})
    one = job.Job("name", 5, settings, files, files.images, files.images, threads=3)
    model, processor = one.policy()
    assert model.training and processor == files.base and threads == [3]


FULL = {
    "python": OSError(errno.ENOSPC, "No space left on device"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "safetensors": RuntimeError("I/O error: No space left on device (os error 28)"),
    "torch": RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed"),
}


@pytest.mark.parametrize("kind", FULL)
def test_a_full_disk_is_one_line_and_loses_nothing(kind, monkeypatch, tmp_path, files):
    def fail(one):
        (one.work / "checkpoint-4").mkdir()
        (one.into / "half").write_text("written")
        raise FULL[kind]

    monkeypatch.setattr(sft, "train_sft", fail)
    paths = [tmp_path / name for name in ("model", "metrics", "verdicts", "predictions", "work")]
    settings = job.Settings(run={"method": "sft", "seeds": [7]}, verifier={})
    with pytest.raises(DiskError, match=r"no room left on the disk of .*start again") as full:
        run.train("name", settings, files, run.Outputs(*paths), threads=1)
    assert "\n" not in str(full.value)
    assert [path.name for path in paths[-1].rglob("*")][1:] == ["checkpoint-4"]
    assert not any(path.exists() for path in paths[:-1])


def test_another_fault_keeps_its_traceback(monkeypatch, tmp_path, files):
    def fail(one):
        raise FileNotFoundError(errno.ENOENT, "No such file")

    monkeypatch.setattr(sft, "train_sft", fail)
    paths = [tmp_path / name for name in ("model", "metrics", "verdicts", "predictions", "work")]
    settings = job.Settings(run={"method": "sft", "seeds": [7]}, verifier={})
    with pytest.raises(FileNotFoundError):
        run.train("name", settings, files, run.Outputs(*paths), threads=1)


def test_a_second_start_of_a_run_is_refused_while_one_is_under_way(monkeypatch, tmp_path, files):
    paths = [tmp_path / name for name in ("model", "metrics", "verdicts", "predictions", "work")]
    settings = job.Settings(run={"method": "sft", "seeds": [7]}, verifier={})
    refused = []

    def begin_again(one):
        with pytest.raises(TrainingError, match="is in use by another training of this run") as no:
            run.train("name", settings, files, run.Outputs(*paths), threads=1)
        refused.append(no)
        return job.TrainingResult(pl.DataFrame({"step": [0], "loss": [1.0]}))

    monkeypatch.setattr(sft, "train_sft", begin_again)
    run.train("name", settings, files, run.Outputs(*paths), threads=1)
    assert len(refused) == 1 and (paths[0] / "7").is_dir()


def test_how_training_is_run_makes_no_other_run(key_of):
    assert key_of(training={"devices": 4, "rollouts": "vllm-server"}) == key_of()
