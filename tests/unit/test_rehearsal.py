"""The rehearsal is the paper's run in all but what is named here, each with the paper's value."""

from speciarl.config import load
from speciarl.datasets.miniature.catalogue import catalogue
from speciarl.training.batches import plan_batches
from tests.presets import files_of

SIZES = {
    "training_sets.cub200.size": (3000, 128),
    "grpo.steps": (165, 2),
    "grpo.prompts_per_step": (256, 64),
    "grpo.max_new_tokens": (2048, 640),
    "grpo.checkpoint_every": (5, 1),
    "sft.epochs": (3.0, 1.0),
    "training.devices": (4, 1),
    "runs.best_of_64.best_of": (64, 8),
    "evaluation.max_new_tokens": (2048, 640),
    "resources.train.threads": (48, 12),
    "resources.train.memory": (256, 96),
    "resources.train.runtime": (2880, 60),
    "resources.predict.runtime": (1440, 60),
    "resources.judge.runtime": (1440, 60),
}
# Drawings instead of archives, whose test splits have no other size than theirs, ...
DRAWINGS = {
    "datasets.mirror": ("real", "miniature"),
    "datasets.mixed_scale": (False, True),
    "miniature.train_per_class": (20, 8),
    "miniature.test_per_class": (10, 2),
    "miniature.image_size": (56, 336),
}
# ... and one GPU, on which there is no room for a rollout server beside the training.
ONE_GPU = {"training.rollouts": ("vllm-server", "transformers")}


def flat(values, prefix=""):
    """Values by their keys, those of sections within sections joined by dots."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_only_sizes_differ_from_the_paper():
    paper, rehearsal = (dict(flat(load(files_of(n)).in_full())) for n in ("paper", "rehearsal"))
    assert paper.keys() == rehearsal.keys()
    differing = {k: (paper[k], rehearsal[k]) for k in paper if paper[k] != rehearsal[k]}
    assert differing == SIZES | DRAWINGS | ONE_GPU
    assert all(small < large for large, small in SIZES.values())


def test_it_trains_each_image_once_and_a_process_has_the_paper_s_load():
    paper, rehearsal = (load(files_of(name)) for name in ("paper", "rehearsal"))
    assert rehearsal.grpo.steps * rehearsal.grpo.prompts_per_step == 128
    loads = [
        plan_batches(one.grpo, one.runs["speciarl"].num_generations, one.training.devices)
        for one in (paper, rehearsal)
    ]
    assert loads[0] == loads[1]


def test_no_job_takes_more_than_one_gpu_and_some_take_one():
    rehearsal = load(files_of("rehearsal"))
    stages = ("train", "predict", "judge", "build_policy", "score", "report")
    gpus = {rehearsal.job(stage, run).gpu for stage in stages for run in rehearsal.runs}
    assert gpus == {0, 1}


def test_there_are_enough_drawings():
    rehearsal = load(files_of("rehearsal"))
    classes = catalogue(rehearsal.miniature.classes_per_group)["cub200"]
    assert len(classes) * rehearsal.miniature.train_per_class >= 128
