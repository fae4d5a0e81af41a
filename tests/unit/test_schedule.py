import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.training.schedule import flatten_epochs


@given(st.integers(1, 30), st.integers(1, 100), st.integers(0, 5))
def test_every_epoch_shows_every_sample_once(height, count, seed):
    samples = pl.DataFrame({"sample_id": [str(i) for i in range(height)]})
    rows = flatten_epochs(samples, count, seed)
    assert rows["row"].to_list() == list(range(count))
    for start in range(0, count, height):
        epoch = rows["sample_id"][start : start + height]
        assert epoch.n_unique() == len(epoch)
    assert rows.equals(flatten_epochs(samples, count, seed))


def test_another_seed_is_another_order():
    samples = pl.DataFrame({"sample_id": [str(i) for i in range(50)]})
    assert not flatten_epochs(samples, 50, 0).equals(flatten_epochs(samples, 50, 1))


def test_batches_divide_or_are_refused():
    from speciarl.config import Grpo
    from speciarl.errors import TrainingError
    from speciarl.training.grpo import plan_batches

    authors = Grpo(prompts_per_step=256, updates_per_step=2, per_device_batch_size=32)
    plan = plan_batches(authors, rollouts=10, processes=4)
    assert (*plan.values(),) == (32, 20, 10)
    with pytest.raises(TrainingError, match="must not be split"):
        plan_batches(Grpo(prompts_per_step=5), rollouts=4, processes=2)
    with pytest.raises(TrainingError, match="does not divide"):
        plan_batches(Grpo(prompts_per_step=8, per_device_batch_size=7), rollouts=4, processes=1)
