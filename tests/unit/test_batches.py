"""How a step's completions are cut over processes; numbers that do not divide are named with some
that do."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciarl.config import Grpo, Sft
from speciarl.errors import TrainingError
from speciarl.training.batches import plan_batches, plan_supervised

REFUSED = {
    "prompts over processes": (
        {"prompts_per_step": 5}, 2,
        "grpo.prompts_per_step 5 does not divide over 2 processes, and a group of rollouts must "
        "not be split: take 4 or 6, or training.devices 1",
    ),
    "fewer prompts than processes": (
        {"prompts_per_step": 6}, 8,
        "grpo.prompts_per_step 6 does not divide over 8 processes, and a group of rollouts must "
        "not be split: take 8, or training.devices 6, 3, 2, 1",
    ),
    "micro-batch": (
        {"prompts_per_step": 8, "per_device_batch_size": 7}, 1,
        "grpo.per_device_batch_size 7 x updates_per_step 1 does not divide the 32 completions that "
        "each of 1 processes has in a step: take a per_device_batch_size of 32, 16, 8, 4, 2, 1",
    ),
    "more updates than micro-batches": (
        {"prompts_per_step": 8, "per_device_batch_size": 32, "updates_per_step": 2}, 1,
        "grpo.per_device_batch_size 32 x updates_per_step 2 does not divide the 32 completions "
        "that each of 1 processes has in a step: take a per_device_batch_size of 16, 8, 4, 2, 1",
    ),
    "updates": (
        {"prompts_per_step": 8, "per_device_batch_size": 16, "updates_per_step": 3}, 4,
        "grpo.updates_per_step 3 does not divide the 8 completions that each of 4 processes has in "
        "a step: take 8, 4, 2, 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_do_not_divide_are_refused_by_name(name):
    values, processes, line = REFUSED[name]
    with pytest.raises(TrainingError) as refused:
        plan_batches(Grpo(**values), 4, processes)
    assert str(refused.value) == line


def numbers_after(word, line):
    return [int(number) for number in re.findall(r"\d+", line.partition(word)[2])]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 50), st.integers(2, 6),
       st.integers(1, 8))  # fmt: skip
def test_every_number_that_is_named_divides(prompts, updates, micro, rollouts, processes):
    values = {
        "prompts_per_step": prompts, "updates_per_step": updates, "per_device_batch_size": micro
    }  # fmt: skip
    try:
        plan = plan_batches(Grpo(**values), rollouts, processes)
    except TrainingError as refused:
        line = str(refused)
    else:
        local = prompts * rollouts // processes
        micro_batch, steps, accumulation = plan.values()
        assert micro_batch * steps == local
        assert accumulation * updates == steps
        return
    if line.startswith("grpo.prompts_per_step"):
        devices = numbers_after("training.devices", line)
        assert devices and all(prompts % number == 0 and number < processes for number in devices)
        prompts = numbers_after("take", line.partition(", or")[0])
        assert prompts and all(number % processes == 0 for number in prompts)
        return
    key = "updates_per_step" if line.startswith("grpo.updates") else "per_device_batch_size"
    for number in numbers_after("take", line):
        plan_batches(
            Grpo(**values | {"per_device_batch_size": 1, key: number}), rollouts, processes
        )


def test_a_supervised_batch_is_shared_out_whole():
    for micro, processes, expected in ((40, 1, (40, 1)), (40, 4, (10, 1)), (5, 4, (5, 2))):
        plan = plan_supervised(Sft(batch_size=40, per_device_batch_size=micro), processes)
        assert (*plan.values(),) == expected
        assert all(type(number) is int for number in plan.values())
        assert [*plan] == ["per_device_train_batch_size", "gradient_accumulation_steps"]
    with pytest.raises(TrainingError, match=r"multiple of 3, or training.devices 2, 1$"):
        plan_supervised(Sft(batch_size=40), 3)
    with pytest.raises(TrainingError, match=r"the 20 examples .* take 20, 10, 5, 4, 2, 1$"):
        plan_supervised(Sft(batch_size=40, per_device_batch_size=7), 2)


@pytest.mark.parametrize(
    ("batch", "micro", "named"),
    [
        (64, 48, "64, 32, 16, 8, 4, 2, 1"),
        (128, 48, "128, 64, 32, 16, 8, 4, 2, 1"),
        (180, 48, "180, 90, 60, 45, 36, 30, 20, 18, ..."),
        (256, 48, "256, 128, 64, 32, 16, 8, 4, 2, ..."),
    ],
)
def test_of_the_numbers_that_do_eight_are_named(batch, micro, named):
    with pytest.raises(TrainingError) as refused:
        plan_supervised(Sft(batch_size=batch, per_device_batch_size=micro), 1)
    assert str(refused.value).endswith(f": take {named}")


def test_devices_are_named_below_those_that_do_not_do():
    with pytest.raises(TrainingError, match=r", or training.devices 5, 4, 2, 1$"):
        plan_supervised(Sft(batch_size=20), 8)
