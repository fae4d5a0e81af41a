"""What TRL and PEFT are told: by params.yaml, by every preset, and by the authors' settings.

Each table names every field that TRL or PEFT defaults otherwise, so that a field that is set, or no
longer set, on the side is seen.
"""

import pytest
import torch
from peft import LoraConfig
from transformers import TrainingArguments
from trl import GRPOConfig, SFTConfig

from speciarl.config import Grpo, Lora, Sft, load
from speciarl.prompts import FOR_THE_POLICY, load_from
from speciarl.training import grpo, sft
from speciarl.training.adapters import lora_config
from speciarl.training.batches import plan_batches
from speciarl.training.job import Inputs, Job, Settings
from speciarl.training.processes import Processes
from tests.presets import NAMES, files_of

SETTINGS = ["params", *NAMES]

# what differs from TRL's own defaults on a CPU, with params.yaml
GRPO = {
    "per_device_train_batch_size": 80,
    "generation_batch_size": 80,
    "num_generations": 5,
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
    "ddp_find_unused_parameters": False,
    "logging_steps": 1,
    "disable_tqdm": True,
    "run_name": "run-42",
    "project": "speciarl",
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
    "ddp_find_unused_parameters": False,
    "logging_steps": 1,
    "save_strategy": "no",
    "remove_unused_columns": False,
    "disable_tqdm": True,
    "run_name": "run-42",
    "project": "speciarl",
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
PAPER = {
    "grpo": {  # 5 rollouts on one process, as the others here
        "per_device_train_batch_size": 32,
        "generation_batch_size": 1280,
        "steps_per_generation": 40,
        "gradient_accumulation_steps": 20,
        "learning_rate": 3e-5,
        "beta": 0.01,
        "max_completion_length": 2048,
        "save_steps": 10,
    },
    "sft": {
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 16,
        "learning_rate": 3e-5,
    },
    "lora": {"r": 64, "lora_alpha": 32},
}
REHEARSAL = {
    "grpo": {  # 5 rollouts of 64 images
        **PAPER["grpo"],
        "generation_batch_size": 320,
        "steps_per_generation": 10,
        "gradient_accumulation_steps": 5,
        "max_completion_length": 640,
        "save_steps": 2,
    },
    "sft": {**PAPER["sft"], "num_train_epochs": 1.0},
    "lora": PAPER["lora"],
}
CHANGED: dict[str, dict[str, dict]] = {
    "params": {},
    "judge-vllm": {},
    "rollouts": {},
    "paper": PAPER,
    "ablations": PAPER,
    "ablations-miniature": {},
    "rehearsal": REHEARSAL,
}

# The authors' settings, as read in their scripts, in TRL's terms: what all runs have, and each run.
AUTHORS = {
    "per_device_train_batch_size": 32,
    "gradient_accumulation_steps": 10,
    "steps_per_generation": 20,
    "num_generations": 10,
    "num_iterations": 1,
    "learning_rate": 3e-5,
    "lr_scheduler_type": "constant",
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "beta": 0.01,
    "use_bias_correction_kl": False,
    "loss_type": "bnpo",
    "scale_rewards": "group",
    "epsilon": 0.2,
    "epsilon_high": None,
    "delta": 3.0,
    "max_completion_length": 2048,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "seed": 42,
    "shuffle_dataset": False,
}
DR_GRPO = {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0}
DAPO = {"loss_type": "dapo", "epsilon_high": 0.28, "delta": 10.0, "beta": 0.0}
DAPO["mask_truncated_completions"] = False  # the penalty takes the place of this filter
FIVE = {"num_generations": 5, "gradient_accumulation_steps": 5, "steps_per_generation": 10}
FIFTEEN = {"num_generations": 15, "gradient_accumulation_steps": 15, "steps_per_generation": 30}
VARIANTS: dict[str, dict] = {
    "speciarl": {}, "rft": {}, "graded_1": {}, "noise_5": {}, "data_small": {}, "llm_verifier": {},
    "dr_grpo": DR_GRPO, "dr_grpo_rft": DR_GRPO,
    "dapo": DAPO, "dapo_rft": DAPO, "dapo_sampling": DAPO,
    "rollouts_5": FIVE, "rollouts_5_longer": FIVE,
    "rollouts_15": FIFTEEN, "rollouts_15_shorter": FIFTEEN,
}  # fmt: skip
# What each run that is trained by a reward has otherwise than the method's, and the completions
# that it draws in all.
METHOD = {"reward": "dynamic", "noise": 0.0, "training_set": "cub200", "prompt": "paper_plain"}
BINARY = {"reward": "binary"}
EXPERIMENTS: dict[str, tuple[dict, int]] = {
    "rft": (BINARY, 422_400),
    "speciarl": ({}, 422_400),
    "dr_grpo_rft": (BINARY, 422_400),
    "dr_grpo": ({}, 422_400),
    "dapo_rft": (BINARY, 422_400),
    "dapo": ({}, 422_400),
    "dapo_sampling": ({}, 422_400),
    "dapo_any_length": ({}, 422_400),
    "overlong": ({}, 422_400),
    "graded_1": ({"reward": "graded-1"}, 422_400),
    "graded_2": ({"reward": "graded-2"}, 422_400),
    "graded_3": ({"reward": "graded-3"}, 422_400),
    "single": ({"reward": "dynamic-single"}, 422_400),
    "noise_5": ({"noise": 0.05}, 422_400),
    "noise_10": ({"noise": 0.1}, 422_400),
    "noise_25": ({"noise": 0.25}, 422_400),
    "rollouts_5": ({}, 211_200),
    "rollouts_15": ({}, 633_600),
    "rollouts_5_longer": ({}, 422_400),
    "rollouts_15_shorter": ({}, 422_400),
    "data_small": ({"training_set": "cub200_small"}, 422_400),
    "data_medium": ({"training_set": "cub200_medium"}, 422_400),
    "data_large": ({"training_set": "cub200_large"}, 422_400),
    "on_flowers102": ({"training_set": "flowers102"}, 422_400),
    "on_food101": ({"training_set": "food101"}, 422_400),
    "on_oxford_pets": ({"training_set": "oxford_pets"}, 422_400),
    "on_stanford_cars": ({"training_set": "stanford_cars"}, 422_400),
    "on_fgvc_aircraft": ({"training_set": "fgvc_aircraft"}, 422_400),
    "on_all": ({"training_set": "mixed"}, 422_400),
    "trained_be_specific": ({"prompt": "paper_be_specific"}, 422_400),
    "llm_verifier": ({}, 422_400),
    "decision_procedure": ({}, 422_400),
    "normalize_first": ({}, 422_400),
    "checklist": ({}, 422_400),
}
# asked of the untrained policy
PROMPTS = {
    "zero_shot": "paper_plain",
    "be_specific": "paper_be_specific",
    "best_of_64": "paper_plain",
    "calibrated": "calibrated",
    "elimination": "elimination",
    "high_precision": "high_precision",
    "maximal_correctness": "maximal_correctness",
    "maximal_specificity": "maximal_specificity",
}


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def params_of(name):
    return load(files_of(name))


def changed(values, defaults):
    """The fields of two configurations that differ, with the first one's values."""
    values, defaults = values.to_dict(), defaults.to_dict()
    assert values.keys() == defaults.keys()
    return {key: value for key, value in values.items() if value != defaults[key]}


def job_of(work, run, processes=1, seed=42, **sections):
    settings = Settings(run=run, verifier={}, **sections)
    return Job("run", seed, settings, Inputs(work), work, work, processes=Processes(0, processes))


def build_grpo(settings, work, processes=1, rollouts=5, seed=42):
    run = {"method": "grpo", "num_generations": rollouts}
    return grpo.trl_config(job_of(work, run, processes, seed, grpo=settings))


def build_sft(settings, work, seed=42):
    return sft.trl_config(job_of(work, {"method": "sft"}, seed=seed, sft=settings))


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
    config = build_sft(params_of(name).sft, tmp_path)
    expected = SFT | CHANGED[name].get("sft", {})
    defaults = untouched(SFTConfig, tmp_path)
    other = {k: v for k, v in expected.items() if v != getattr(defaults, k)}
    assert changed(config, defaults) == other
    holds(config, expected)
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


@pytest.fixture(scope="module")
def paper():
    return params_of("ablations")


@pytest.mark.parametrize("run", VARIANTS)
def test_the_authors_settings_in_trl_terms(paper, run, tmp_path):
    row = paper.runs[run]
    (seed,) = row.seeds
    config = build_grpo(
        paper.section_of(run, "grpo"),
        tmp_path,
        processes=4,
        rollouts=row.num_generations,
        seed=seed,
    )
    holds(config, AUTHORS | VARIANTS[run])


def test_the_authors_adapters_in_peft_terms(paper):
    for run in paper.runs:
        config = lora_config(paper.section_of(run, "lora"))
        assert (config.r, config.lora_alpha, config.target_modules) == (64, 32, "all-linear")
        assert config.exclude_modules == ".*visual.*"


def test_every_experiment_of_the_paper_is_a_row(paper):
    found = {}
    for name, row in paper.runs.items():
        if row.method == "grpo":
            grpo = paper.section_of(name, "grpo")
            found[name] = (
                {k: getattr(row, k) for k, v in METHOD.items() if getattr(row, k) != v},
                grpo.steps * grpo.prompts_per_step * row.num_generations,
            )
    assert found == EXPERIMENTS
    assert {name: r.prompt for name, r in paper.runs.items() if r.method == "none"} == PROMPTS
    sizes = {name: chosen.size for name, chosen in paper.training_sets.items()}
    assert [sizes.pop(f"cub200_{n}") for n in ("small", "medium", "large")] == [128, 1024, 2048]
    assert set(sizes.values()) == {3000}


def test_the_paper_s_policy_judges_and_evaluation(paper):
    assert paper.policy.name == "Qwen/Qwen2.5-VL-7B-Instruct"
    verifier, judge = paper.verifier, paper.judge
    assert (verifier.backend, verifier.model.name, verifier.model.thinking) == (
        "cascade", "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", False,
    )  # fmt: skip
    assert (judge.backend, judge.model.name) == ("llm", "meta-llama/Meta-Llama-3-70B-Instruct")
    alone = paper.section_of("llm_verifier", "verifier")
    assert alone == verifier.model_copy(update={"backend": "llm"})
    prompts = ("decision_procedure", "normalize_first", "checklist")
    assert [paper.section_of(name, "verifier").model.prompt for name in prompts] == [*prompts]
    evaluation = paper.evaluation
    assert (evaluation.engine, evaluation.max_new_tokens) == ("vllm", 2048)
    assert (evaluation.temperature, evaluation.top_p) == (0.6, 0.95)
    assert {name: row.best_of for name, row in paper.runs.items() if row.best_of > 1} == {
        "best_of_64": 64
    }


def test_the_paper_s_prompts_ask_for_reasoning_and_one_label_or_none():
    texts = {load_from(FOR_THE_POLICY, name) for name in PROMPTS.values()}
    assert len(texts) == len(set(PROMPTS.values())) == 7
    for text in texts:
        assert text.endswith("<think>your reasoning</think> <answer>one label or None</answer>")


def test_the_miniature_s_rows_are_the_paper_s():
    """But those that need a language model, and numbers of rollouts that are the paper's own."""
    paper, small = params_of("ablations"), params_of("ablations-miniature")
    judged = {"llm_verifier", "decision_procedure", "normalize_first", "checklist"}
    table = {"sft", "be_specific", "best_of_64"}
    assert set(paper.runs) - set(small.runs) == judged | table | {"rollouts_5", "rollouts_5_longer"}
    assert set(small.runs) - set(paper.runs) == {
        "rollouts_3", "rollouts_10", "rollouts_3_longer", "rollouts_10_shorter",
    }  # fmt: skip
    assert all(row.seeds == [42] for row in small.runs.values())
    for name in ("rollouts_3_longer", "rollouts_10_shorter", "rollouts_15_shorter"):
        completions = small.section_of(name, "grpo").steps * small.runs[name].num_generations
        assert completions == small.grpo.steps * small.runs["speciarl"].num_generations


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
    holds(build_sft(Sft(**{name: value}), tmp_path), {field: value})


def test_seeds_and_batches_arrive(tmp_path):
    assert build_grpo(Grpo(), tmp_path, seed=5).seed == 5
    config = build_sft(Sft(batch_size=40, per_device_batch_size=10), tmp_path, seed=5)
    assert (config.seed, config.gradient_accumulation_steps) == (5, 4)
    small = build_sft(Sft(batch_size=4, per_device_batch_size=10), tmp_path, seed=5)
    assert small.gradient_accumulation_steps == 1


def test_checkpoints_fall_on_generation_boundaries(tmp_path):
    settings = Grpo(per_device_batch_size=10, updates_per_step=2, checkpoint_every=3)
    config = build_grpo(settings, tmp_path)
    assert config.save_steps == 6
    assert config.steps_per_generation == 2 * config.gradient_accumulation_steps


def test_a_gpu_is_used_where_there_is_one(monkeypatch, tmp_path):
    """TRL refuses such a configuration where there is none: looked at before it is built."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(grpo, "GRPOConfig", dict)
    monkeypatch.setattr(sft, "SFTConfig", dict)
    expected = {"use_cpu": False, "bf16": True, "gradient_checkpointing": True}
    for values in (build_grpo(Grpo(), tmp_path), build_sft(Sft(), tmp_path)):
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
    plan = plan_batches(settings, rollouts, processes)
    assert (*plan.values(),) == PLANS[numbers]
    assert all(type(number) is int for number in plan.values())
    assert plan["per_device_train_batch_size"] * plan["steps_per_generation"] * processes == (
        prompts * rollouts
    )


def test_dapo_draws_again_and_penalizes_length_where_the_rows_say_so(paper):
    found = {
        name: (grpo.dynamic_sampling_tries, grpo.overlong_buffer)
        for name in paper.runs
        if (grpo := paper.section_of(name, "grpo")).dynamic_sampling_tries
        or grpo.loss_type == "dapo"
        or grpo.overlong_buffer
    }
    assert found == {
        "dapo_rft": (0, 512), "dapo": (0, 512), "dapo_sampling": (10, 512),
        "dapo_any_length": (0, None), "overlong": (0, 512),
    }  # fmt: skip
