"""Before GRPO starts: whether the verifier can judge the classes of the training set."""

from pathlib import Path

import polars as pl
import pytest

from speciarl.errors import TaxonomyError
from speciarl.training import verified
from speciarl.training.job import Inputs, Job, Settings

FACTS = Path(__file__).parents[2] / "data/taxonomies"
SERVER = {"base_url": "http://127.0.0.1:9/v1"}
MODEL = {"kind": "server", "name": "judge", "revision": "1"}
LLM = {"backend": "llm", "model": MODEL, "server": SERVER}


class Started(Exception):
    """Training has begun."""


def train(folder, monkeypatch, dataset, *classes, known=(), verifier=None):
    def begin(*_):
        raise Started

    monkeypatch.setattr(verified, "train_grpo", begin)
    samples = folder / "samples.parquet"
    pl.DataFrame({"dataset": dataset, "class_name": classes}).write_parquet(samples)
    inputs = Inputs(
        images=folder, samples=samples, classes={dataset: known}, facts=FACTS,
        store=folder / "cache.duckdb",
    )  # fmt: skip
    settings = Settings(run={"method": "grpo"}, verifier=verifier or {})
    verified.train_verified(Job("run", 0, settings, inputs, folder, folder))


@pytest.mark.parametrize("verifier", [None, LLM, {**LLM, "backend": "cascade"}])
def test_a_class_that_nobody_can_judge_is_named_before_training(verifier, tmp_path, monkeypatch):
    train_on = [tmp_path, monkeypatch, "cub200", "Herring Gull"]
    with pytest.raises(TaxonomyError, match=r"'Dodo' of cub200 has no taxonomy entry.*cub200.yaml"):
        train(*train_on, "Dodo", verifier=verifier)
    with pytest.raises(Started):
        train(*train_on, verifier=verifier)


@pytest.mark.parametrize(("verifier", "told"), [(None, True), (LLM, False)])
def test_that_a_dataset_has_no_facts_is_told_where_no_model_judges(
    verifier, told, tmp_path, monkeypatch, capsys
):
    names = ["red rose", "tulip"]
    with pytest.raises(Started):
        train(tmp_path, monkeypatch, "garden", *names, known=names, verifier=verifier)
    said = capsys.readouterr().err
    assert ("without facts about garden only the names of its classes count" in said) == told
