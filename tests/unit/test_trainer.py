"""What the trainer does with groups: drawn again, left out of the loss, or left to TRL alone."""

import numpy as np
import polars as pl
import pytest
import torch
from trl import GRPOTrainer
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from speciarl.config import Grpo, Lora
from speciarl.datasets.miniature.render import render
from speciarl.files import read_done
from speciarl.policy.miniature.architecture import build_model, build_processor, build_tokenizer
from speciarl.policy.miniature.curriculum import all_classes, all_texts
from speciarl.schemas import COUNTED
from speciarl.training.adapters import lora_config
from speciarl.training.grpo import train_grpo, training_data, trl_config
from speciarl.training.job import Inputs, Job, Settings
from speciarl.training.processes import Processes
from speciarl.training.schedule import flatten_epochs
from speciarl.training.trainer import GroupTrainer, Rollouts, replacements, teaches

SIZE, ROLLOUTS = 56, 2
CLASSES = all_classes()[:8]
SAMPLES = pl.DataFrame(
    {"class_name": [c.name for c in CLASSES], "image": [str(i) for i in range(len(CLASSES))]}
)
NAN = float("nan")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def open_image(reference):
    rng = np.random.default_rng(int(reference))
    return render(CLASSES[int(reference)], rng, ambiguous=False, size=SIZE)


NOTHING = {"reward": None, **dict.fromkeys(COUNTED, 0)}


def rows_of(first, count):
    return training_data(flatten_epochs(SAMPLES, count, 0, first), "plain", open_image)


class Bridge:
    """Rewards by row from a table, or else by what was said; keeps what it is told."""

    __name__ = "table"
    source = None

    def __init__(self, table=None):
        self.table = table or {}
        self.rows, self.predictions, self.calls, self.noted = [], [], [], []
        self.said = {}

    def __call__(self, completions, row, completion_ids, trainer_state, **_):
        self.calls.append(row[::ROLLOUTS])
        if not self.rows or self.rows[-1]["step"] != trainer_state.global_step:
            self.rows.append({"step": trainer_state.global_step, **NOTHING})
        for number, ids in zip(row, completion_ids, strict=True):
            self.said.setdefault(number, []).append(ids)
        table = {number: list(self.table[number]) for number in {*row} if number in self.table}
        return [
            table[number].pop(0) if number in table else float(sum(ids) % 5 == 0)
            for number, ids in zip(row, completion_ids, strict=True)
        ]

    def note_groups(self, **counts):
        self.noted.append(counts)
        self.rows[-1] |= counts


def build(tmp_path, bridge, tries=0, processes=1, kind=GroupTrainer, **settings):
    settings = Grpo(**{"steps": 2, "prompts_per_step": 4, "max_new_tokens": 4} | settings)
    tokenizer = build_tokenizer(all_texts())
    run = {"method": "grpo", "num_generations": ROLLOUTS}
    job = Job("run", 1, Settings(run=run, verifier={}, grpo=settings), Inputs(tmp_path), tmp_path,
              tmp_path, processes=Processes(0, processes))  # fmt: skip
    mine = {"bridge": bridge, "more_rows": rows_of, "next_row": 8, "tries": tries}
    trainer = kind(
        model=build_model(tokenizer, seed=0).train(),
        processing_class=build_processor(tokenizer, SIZE),
        args=trl_config(job),
        train_dataset=rows_of(0, 8),
        peft_config=lora_config(Lora()),
        **(mine if kind is GroupTrainer else {"reward_funcs": bridge}),
    )
    torch.manual_seed(3)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:  # else the policy is its own reference
            parameter.data.normal_(0, 0.5)
    return trainer


def batch(prompts=4, first=0):
    return [row for row in rows_of(first, prompts) for _ in range(ROLLOUTS)]


def adapters(trainer):
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if "lora_" in n}


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([0, 1], True), ([1, 1], False), ([0, 0], False), ([-1, 0, 0], True), ([1, 1 - 1e-6], True),
        ([NAN, NAN], False), ([NAN, 1], False), ([0.25], False),
    ],
)  # fmt: skip
def test_a_group_teaches_whose_rewards_differ(rewards, expected):
    assert teaches(torch.tensor([rewards, rewards])).tolist() == [expected] * 2


@pytest.mark.parametrize(
    ("kept", "fresh", "expected"),
    [
        ([True, True], [], []),
        ([False, True, False], [True, True], [(0, 0), (2, 1)]),
        ([False, True, False], [False, True], [(0, 1)]),
        ([True, False], [True, True, True], [(1, 0)]),
        ([False, False], [False, False], []),
    ],
)
def test_a_place_is_given_to_a_group_that_teaches(kept, fresh, expected):
    assert replacements(kept, fresh) == expected


def test_groups_that_teach_nothing_are_replaced_by_fresh_ones(tmp_path):
    """Row 1 and 2 teach nothing; of the next two only the second does, then the next one."""
    same, failed, good = [1, 1], [None, None], [0, 1]
    table = {0: good, 1: same, 2: failed, 3: good, 8: same, 9: good, 10: good}
    bridge = Bridge(table)
    trainer = build(tmp_path, bridge, tries=10)
    output = trainer._generate_and_score_completions(batch())
    assert bridge.calls == [[0, 1, 2, 3], [8, 9], [10]]
    assert trainer.next_row == 11
    assert bridge.noted == [
        {"refills": 2, "dropped_groups": 3, "equal_groups": 0, "failed_groups": 0}
    ]
    kept = [0, 9, 10, 3]
    said = [ids for row in kept for ids in bridge.said[row]]
    masks = output["completion_mask"].bool()
    tokens = [ids[mask].tolist() for ids, mask in zip(output["completion_ids"], masks, strict=True)]
    assert tokens == said
    images = [open_image(r) for row in kept for r in [flat(row)] * ROLLOUTS]
    text = ["<|image_pad|>"] * len(images)
    seen = trainer.processing_class(images=images, text=text, return_tensors="pt")["pixel_values"]
    assert torch.equal(output["pixel_values"], seen)
    up, down = 0.5 / (0.5**0.5 + 1e-4), -0.5 / (0.5**0.5 + 1e-4)
    assert output["advantages"].tolist() == pytest.approx([down, up] * 4)
    assert "tool_mask" not in output
    assert "old_per_token_logps" not in output  # no forward pass where one update is made


def flat(row):
    return flatten_epochs(SAMPLES, 1, 0, row)["image"].item()


@pytest.mark.parametrize("process", [0, 1])
def test_each_process_refills_its_own_groups_as_often_as_the_other(process):
    """The first lacks one group and the second two; of its own, each shows and keeps its part."""
    good, same = [0.0, 1.0], [1.0, 1.0]

    def rollouts(rows, *rewards):
        said = [f"{row}.{n}" for row in rows[process] for n in range(ROLLOUTS)]
        shown = [row for row in rows[process] for _ in range(ROLLOUTS)]
        return Rollouts(shown, (said, None, {}, [], [*said]), torch.tensor(rewards))

    kept = rollouts([[0, 1], [2, 3]], [good, same], [same, same])
    fresh = rollouts([[20, 21], [22, 23]], [good, good], [same, good])
    asked = []
    trainer = object.__new__(GroupTrainer)
    trainer.process, trainer.next_row = process, 20
    trainer.more_rows = lambda first, count: (
        asked.append((first, count)) or [{"row": first + n} for n in range(count)]
    )
    trainer._roll_out = lambda rows: asked.append(rows) or fresh
    assert trainer._refill(kept) == 4 and trainer.next_row == 24
    first = 20 + 2 * process
    rows = [{"row": row} for row in (first, first + 1) for _ in range(ROLLOUTS)]
    assert asked == [(first, 2), rows]
    names = [["0.0", "0.1", "20.0", "20.1"], ["23.0", "23.1", "3.0", "3.1"]][process]
    assert kept.generated == (names, None, {}, [], names)
    assert kept.rows == [[0, 0, 20, 20], [23, 23, 3, 3]][process]
    assert kept.rewards.tolist() == [[good, good], [good, same]]  # as all processes know them


@pytest.mark.parametrize(("tries", "calls"), [(0, 1), (1, 2), (3, 4)])
def test_when_tries_run_out_the_rest_is_kept_and_counted(tries, calls, tmp_path):
    failed = {2: [None, None], 3: [None, None]}
    bridge = Bridge({row: [1, 1] for row in range(100)} | {0: [0, 1], **failed})
    trainer = build(tmp_path, bridge, tries=tries)
    output = trainer._generate_and_score_completions(batch())
    assert len(bridge.calls) == calls and trainer.next_row == 8 + 3 * tries
    (noted,) = bridge.noted
    assert noted == {
        "refills": tries, "dropped_groups": 3 * tries, "equal_groups": 1, "failed_groups": 2,
    }  # fmt: skip
    assert [value != 0 for value in output["advantages"].tolist()] == [True] * 2 + [False] * 6
    assert output["tool_mask"][:, 0].tolist() == [1] * 4 + [0] * 4


def test_the_next_batch_is_drawn_anew(tmp_path):
    bridge = Bridge({row: [0, 1] for row in range(8)})
    trainer = build(tmp_path, bridge, tries=2)
    for first in (0, 4):
        trainer._generate_and_score_completions(batch(first=first))
    assert bridge.calls == [[0, 1, 2, 3], [4, 5, 6, 7]]
    nothing = {"refills": 0, "dropped_groups": 0, "equal_groups": 0, "failed_groups": 0}
    assert bridge.noted == [nothing] * 2


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_without_refills_it_trains_as_trl_does_bit_for_bit(beta, tmp_path):
    ends = []
    for kind in (GRPOTrainer, GroupTrainer):
        trainer = build(
            tmp_path, Bridge(), kind=kind, beta=beta, updates_per_step=2, per_device_batch_size=2
        )
        before = adapters(trainer)
        trainer.train()
        ends.append((before, adapters(trainer), trainer.state.global_step))
    (start, trl, steps), (_, ours, ours_steps) = ends
    assert steps == ours_steps == 4
    assert any(not torch.equal(start[name], trl[name]) for name in trl)
    assert all(torch.equal(trl[name], ours[name]) for name in trl)


def loss_and_gradient(trainer, inputs):
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    gradient = [p.grad.flatten() for n, p in trainer.model.named_parameters() if "lora_" in n]
    return loss.detach(), torch.cat(gradient)


def only(output, places):
    """The batch that these completions would be alone."""
    split = split_pixel_values_by_grid(output)
    chosen = {
        name: value
        if isinstance(value, torch.Tensor) and not value.ndim
        else value[places]
        if isinstance(value, torch.Tensor)
        else [value[place] for place in places]
        for name, value in split.items()
        if name != "tool_mask"
    }
    return unsplit_pixel_values_by_grid(chosen) | {
        "num_items_in_batch": chosen["completion_mask"].sum()
    }


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A trainer and its batch, in which the second of four groups was not judged."""
    bridge = Bridge({0: [0, 1], 1: [None, None], 2: [1, 0], 3: [1, 1]})
    work = tmp_path_factory.mktemp("failed")
    trainer = build(work, bridge, beta=0.1, updates_per_step=2, per_device_batch_size=4)
    output = trainer._generate_and_score_completions(batch())
    trainer.current_gradient_accumulation_steps = 1
    return trainer, output


@pytest.mark.parametrize(
    ("loss_type", "share"), [("bnpo", 1), ("dapo", 1), ("dr_grpo", 6 / 8), ("grpo", 6 / 8)]
)
def test_a_failed_group_is_out_of_the_loss(loss_type, share, failed):
    """Where the loss is a mean over completions, it counts as completions without a gradient."""
    trainer, output = failed
    trainer.loss_type = loss_type
    trainer.model.train()
    kept = only(output, [0, 1, 4, 5, 6, 7])
    assert output["num_items_in_batch"] == kept["num_items_in_batch"]
    loss, gradient = loss_and_gradient(trainer, output)
    expected, its_gradient = loss_and_gradient(trainer, kept)
    assert abs(expected) > 1e-3 and its_gradient.norm() > 1e-3
    torch.testing.assert_close(loss, expected * share, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient, its_gradient * share, rtol=1e-4, atol=1e-6)
    unmasked = {name: value for name, value in output.items() if name != "tool_mask"}
    assert abs(loss_and_gradient(trainer, unmasked)[0] - loss) > 1e-4  # what TRL alone does


def test_a_batch_in_which_all_failed_moves_nothing(tmp_path):
    trainer = build(tmp_path, Bridge({row: [None, None] for row in range(4)}), beta=0.1)
    trainer.current_gradient_accumulation_steps = 1
    for loss_type in ("bnpo", "dapo", "dr_grpo"):
        trainer.loss_type = loss_type
        loss, gradient = loss_and_gradient(
            trainer, trainer._generate_and_score_completions(batch())
        )
        assert loss == 0 and not gradient.any()


class Killed(Exception):
    pass


class Mortal(Bridge):
    """Dies amid the refills of a step."""

    kill_at = None

    def __call__(self, completions, row, completion_ids, trainer_state, **_):
        step = trainer_state.global_step
        if step == self.kill_at and self.rows[-1]["step"] == step:
            raise Killed
        return super().__call__(completions, row, completion_ids, trainer_state)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train in a folder of that name, with a checkpoint at each step, and give what it leaves."""
    tokenizer = build_tokenizer(all_texts())
    settings = Settings(
        run={"method": "grpo", "num_generations": ROLLOUTS, "seeds": [1]},
        grpo={
            "steps": 4, "prompts_per_step": 4, "max_new_tokens": 4, "dynamic_sampling_tries": 2,
            "beta": 0.0, "loss_type": "dapo", "epsilon_high": 0.28, "delta": 10.0,
            "updates_per_step": 2, "per_device_batch_size": 4, "checkpoint_every": 1,
        },
        verifier={},
    )  # fmt: skip

    def policy(job):
        model = build_model(tokenizer, seed=0).train()
        torch.manual_seed(job.seed)  # the adapters begin with it
        return model, build_processor(tokenizer, SIZE)

    monkeypatch.setattr(Job, "policy", policy)
    monkeypatch.setattr(Job, "samples", lambda job: SAMPLES)
    monkeypatch.setattr(Job, "open_image", lambda job, reference: open_image(reference))

    def run(name, kill_at=None):
        work, into = tmp_path / name / "work", tmp_path / name / "into"
        for folder in (work, into):
            folder.mkdir(parents=True, exist_ok=True)
        bridge = Mortal()
        bridge.kill_at = kill_at
        table = train_grpo(Job("name", 1, settings, Inputs(tmp_path), work, into), bridge)
        return bridge, table, (into / "adapter_model.safetensors").read_bytes()

    run.work = tmp_path
    return run


def test_a_run_killed_amid_its_refills_goes_on_bit_for_bit(train):
    whole, table, model = train("whole")
    assert all(row["refills"] for row in whole.rows)
    with pytest.raises(Killed):
        train("killed", kill_at=4)
    (mark,) = train.work.glob("killed/work/checkpoint-4/progress.json")
    progress = read_done(mark)
    assert progress["rows"] == whole.rows[:2]
    fresh = sum(row["dropped_groups"] for row in whole.rows[:2])
    assert progress["next_row"] == 16 + fresh  # one for each that was drawn in vain
    bridge, resumed, again = train("killed")
    assert bridge.calls == whole.calls[-len(bridge.calls) :] and len(bridge.calls) < len(
        whole.calls
    )
    assert bridge.rows == whole.rows
    assert resumed.drop("seconds").equals(table.drop("seconds"))
    assert again == model
