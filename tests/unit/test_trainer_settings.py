"""What TRL and PEFT are told: by params.yaml, by every preset, and by the authors' settings.

Each table names every field that TRL or PEFT defaults otherwise, so that a field that is set, or no
longer set, on the side is seen.
"""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from transformers import TrainingArguments
from trl import GRPOConfig, SFTConfig

from speciarl.config import Grpo, Lora, Sft, load
from speciarl.training import grpo, sft
from speciarl.training.adapters import lora_config

ROOT = Path(__file__).parents[2]
PRESETS = sorted(path.stem for path in (ROOT / "workflow/presets").glob("*.yaml"))
SETTINGS = ["params", *PRESETS]

# what differs from TRL's own defaults on a CPU, with params.yaml
GRPO = {
    "per_device_train_batch_size": 78,
    "generation_batch_size": 78,
    "num_generations": 3,
    "num_train_epochs": 1,
    "shuffle_dataset": False,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.01,
    "gradient_checkpointing": False,
    "beta": 0.03,
    "use_bias_correction_kl": False,
    "delta": 3.0,
    "loss_type": "bnpo",
    "max_completion_length": 24,
    "save_steps": 20,
    "save_total_limit": 2,
    "logging_steps": 1,
    "disable_tqdm": True,
}
# what the method rests on and TRL happens to default alike
GRPO_ALIKE = {
    "steps_per_generation": 1,
    "gradient_accumulation_steps": 1,
    "num_iterations": 1,
    "seed": 42,
    "max_grad_norm": 1.0,
    "epsilon": 0.2,
    "epsilon_high": None,  # as epsilon
    "scale_rewards": "group",
    "importance_sampling_level": "token",
    "mask_truncated_completions": False,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "use_vllm": False,
    "save_strategy": "steps",
    "eval_strategy": "no",
    "report_to": [],
}
SFT = {
    "num_train_epochs": 4.0,
    "per_device_train_batch_size": 40,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.01,
    "gradient_checkpointing": False,
    "max_length": None,
    "logging_steps": 1,
    "save_strategy": "no",
    "remove_unused_columns": False,
    "disable_tqdm": True,
}
SFT_ALIKE = {
    "gradient_accumulation_steps": 1,
    "seed": 42,
    "max_grad_norm": 1.0,
    "packing": False,
    "completion_only_loss": None,  # the completion alone, where data has a prompt
    "report_to": [],
}
LORA = {
    "r": 4,
    "target_modules": "all-linear",
    "exclude_modules": ".*visual.*",
}
LORA_ALIKE = {"lora_alpha": 8, "lora_dropout": 0.0, "bias": "none", "use_rslora": False}

# what a preset changes in these tables
CHANGED: dict[str, dict[str, dict]] = {
    "params": {},
    "judge-vllm": {},
    "paper": {"grpo": {"beta": 0.01}},
    "rollouts": {},
}

# facts of the authors' runs that TRL defaults otherwise, or that are theirs by name
AUTHORS = Grpo(
    prompts_per_step=256,
    updates_per_step=2,
    per_device_batch_size=32,
    learning_rate=3e-5,
    beta=0.01,
    max_new_tokens=2048,
)
VARIANTS = {
    "grpo": (
        {},
        {"beta": 0.01, "loss_type": "bnpo", "epsilon": 0.2, "delta": 3.0, "scale_rewards": "group"},
    ),
    "dr_grpo": (
        {"beta": 0.0, "loss_type": "dr_grpo", "scale_rewards": "none"},
        {"beta": 0.0, "loss_type": "dr_grpo", "scale_rewards": "none", "delta": 3.0},
    ),
    "dapo": (
        {"beta": 0.0, "loss_type": "dapo", "epsilon_high": 0.28, "delta": 10.0},
        {"beta": 0.0, "loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28, "delta": 10.0},
    ),
    "no dual clip": ({"delta": None}, {"delta": None}),
}


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def params_of(name):
    files = [ROOT / "params.yaml"]
    return load(files if name == "params" else [*files, ROOT / f"workflow/presets/{name}.yaml"])


def changed(values, defaults):
    """The fields of two configurations that differ, with the first one's values."""
    values, defaults = values.to_dict(), defaults.to_dict()
    assert values.keys() == defaults.keys()
    return {key: value for key, value in values.items() if value != defaults[key]}


def build_grpo(settings, work, processes=1, rollouts=3, seed=42):
    plan = grpo.plan_batches(settings, rollouts, processes)
    return grpo.trl_config(settings, plan, rollouts=rollouts, seed=seed, work=work)


def untouched(kind, work) -> TrainingArguments:
    return kind(output_dir=str(work), use_cpu=True, bf16=False)


def holds(config, expected):
    values = config.to_dict()
    assert {key: values[key] for key in expected} == expected


def test_every_preset_is_in_the_table():
    assert sorted(CHANGED) == sorted(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_grpo_in_trl_terms(name, tmp_path):
    config = build_grpo(params_of(name).grpo, tmp_path)
    expected = GRPO | CHANGED[name].get("grpo", {})
    assert changed(config, untouched(GRPOConfig, tmp_path)) == expected
    holds(config, {key: value for key, value in GRPO_ALIKE.items() if key not in expected})
    assert config.output_dir == str(tmp_path) and config.use_cpu and not config.bf16


@pytest.mark.parametrize("name", SETTINGS)
def test_sft_in_trl_terms(name, tmp_path):
    config = sft.trl_config(params_of(name).sft, seed=42, work=tmp_path)
    expected = SFT | CHANGED[name].get("sft", {})
    assert changed(config, untouched(SFTConfig, tmp_path)) == expected
    holds(config, {key: value for key, value in SFT_ALIKE.items() if key not in expected})
    assert config.output_dir == str(tmp_path) and config.use_cpu and not config.bf16


@pytest.mark.parametrize("name", SETTINGS)
def test_lora_in_peft_terms(name):
    config = lora_config(params_of(name).lora)
    expected = LORA | CHANGED[name].get("lora", {})
    assert changed(config, LoraConfig()) == expected
    holds(config, {key: value for key, value in LORA_ALIKE.items() if key not in expected})


def test_every_lora_setting_arrives():
    config = lora_config(Lora(rank=64, alpha=32, dropout=0.05))
    assert (config.r, config.lora_alpha, config.lora_dropout) == (64, 32, 0.05)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_authors_settings_in_trl_terms(name, tmp_path):
    settings, expected = VARIANTS[name]
    config = build_grpo(AUTHORS.model_copy(update=settings), tmp_path, processes=4, rollouts=10)
    holds(
        config,
        {
            "per_device_train_batch_size": 32,
            "gradient_accumulation_steps": 10,
            "steps_per_generation": 20,
            "num_generations": 10,
            "learning_rate": 3e-5,
            "lr_scheduler_type": "constant",
            "weight_decay": 0.01,
            "max_grad_norm": 1.0,
            "use_bias_correction_kl": False,
            "max_completion_length": 2048,
            "shuffle_dataset": False,
            **expected,
        },
    )


@pytest.mark.parametrize(("rollouts", "accumulation", "steps"), [(5, 5, 10), (15, 15, 30)])
def test_fewer_and_more_rollouts_in_trl_terms(rollouts, accumulation, steps, tmp_path):
    config = build_grpo(AUTHORS, tmp_path, processes=4, rollouts=rollouts)
    expected = {"gradient_accumulation_steps": accumulation, "steps_per_generation": steps}
    holds(config, {**expected, "num_generations": rollouts})


# setting of ours -> value, field of TRL; every one is another value than the default of either
GRPO_FIELDS = {
    "learning_rate": (2e-4, "learning_rate"),
    "weight_decay": (0.2, "weight_decay"),
    "max_grad_norm": (0.5, "max_grad_norm"),
    "beta": (0.3, "beta"),
    "epsilon": (0.1, "epsilon"),
    "epsilon_high": (0.4, "epsilon_high"),
    "delta": (7.0, "delta"),
    "loss_type": ("dr_grpo", "loss_type"),
    "scale_rewards": ("batch", "scale_rewards"),
    "temperature": (0.7, "temperature"),
    "top_p": (0.8, "top_p"),
    "max_new_tokens": (77, "max_completion_length"),
    "checkpoint_every": (7, "save_steps"),
}
SFT_FIELDS = {
    "epochs": (2.5, "num_train_epochs"),
    "per_device_batch_size": (10, "per_device_train_batch_size"),
    "learning_rate": (2e-4, "learning_rate"),
    "weight_decay": (0.2, "weight_decay"),
    "max_grad_norm": (0.5, "max_grad_norm"),
}


@pytest.mark.parametrize("name", GRPO_FIELDS)
def test_every_grpo_setting_arrives_in_its_field(name, tmp_path):
    value, field = GRPO_FIELDS[name]
    holds(build_grpo(Grpo(**{name: value}), tmp_path), {field: value})


@pytest.mark.parametrize("name", SFT_FIELDS)
def test_every_sft_setting_arrives_in_its_field(name, tmp_path):
    value, field = SFT_FIELDS[name]
    holds(sft.trl_config(Sft(**{name: value}), seed=42, work=tmp_path), {field: value})


def test_seeds_and_batches_arrive(tmp_path):
    assert build_grpo(Grpo(), tmp_path, seed=5).seed == 5
    config = sft.trl_config(Sft(batch_size=45, per_device_batch_size=10), seed=5, work=tmp_path)
    assert (config.seed, config.gradient_accumulation_steps) == (5, 4)
    small = sft.trl_config(Sft(batch_size=4, per_device_batch_size=10), seed=5, work=tmp_path)
    assert small.gradient_accumulation_steps == 1


def test_checkpoints_fall_on_generation_boundaries(tmp_path):
    settings = Grpo(per_device_batch_size=13, updates_per_step=2, checkpoint_every=3)
    config = build_grpo(settings, tmp_path)
    assert config.save_steps == 6
    assert config.steps_per_generation == 2 * config.gradient_accumulation_steps


def test_a_gpu_is_used_where_there_is_one(monkeypatch, tmp_path):
    """TRL refuses such a configuration where there is none: looked at before it is built."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(grpo, "GRPOConfig", dict)
    monkeypatch.setattr(sft, "SFTConfig", dict)
    expected = {"use_cpu": False, "bf16": True, "gradient_checkpointing": True}
    for values in (
        build_grpo(Grpo(), tmp_path),
        sft.trl_config(Sft(), seed=0, work=tmp_path),
    ):
        assert {key: values[key] for key in expected} == expected


# processes, prompts, updates, micro-batch, rollouts -> per device, steps, accumulation
PLANS = {
    (1, 8, 1, 80, 10): (80, 1, 1),
    (1, 8, 1, 800, 10): (80, 1, 1),  # a micro-batch is no larger than what there is
    (2, 8, 2, 10, 10): (10, 4, 2),
    (4, 256, 2, 32, 10): (32, 20, 10),
    (8, 256, 2, 32, 10): (32, 10, 5),
}


@pytest.mark.parametrize("numbers", PLANS)
def test_a_generation_batch_is_cut_without_a_rest(numbers):
    processes, prompts, updates, micro, rollouts = numbers
    settings = Grpo(prompts_per_step=prompts, updates_per_step=updates, per_device_batch_size=micro)
    plan = grpo.plan_batches(settings, rollouts, processes)
    assert (plan.per_device, plan.steps_per_generation, plan.gradient_accumulation) == PLANS[
        numbers
    ]
    assert all(type(number) is int for number in vars(plan).values())
    assert plan.per_device * plan.steps_per_generation * processes == prompts * rollouts
