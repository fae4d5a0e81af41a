# What a job reads and is made of, by its wildcards.
from snakemake.iocontainers import Wildcards


def code_unread_in_training(wildcards):
    run = PARAMS.runs[wildcards.run]
    methods = {"sft": "speciarl/training/sft.py", "grpo": "speciarl/training/verified.py"}
    unused = {path for method, path in methods.items() if method != run.method}
    judge = PARAMS.section_of(wildcards.run, "verifier")
    return unused | judge_unread(judge, policy=[run.prompt])


def code_unread_in_prediction(wildcards):
    idle = {"speciarl/evaluation/vllm_engine.py"} if PARAMS.evaluation.engine != "vllm" else set()
    return idle | other_prompts([PARAMS.runs[wildcards.run].prompt])


# What of a run's row its training reads.
READ_BY_METHOD = {"none": ("seeds",), "sft": ("prompt", "training_set", "seeds")}
READ_BY_METHOD["grpo"] = (
    *READ_BY_METHOD["sft"],
    "reward",
    "noise",
    "num_generations",
    "answer_tag",
)


def training_settings(run):
    """The parameters that the training of a run reads, and no others."""
    method = PARAMS.runs[run].method
    settings = {"run": PARAMS.runs[run].model_dump(include={"method", *READ_BY_METHOD[method]})}
    if method != "none":
        settings |= {name: PARAMS.section_of(run, name).model_dump() for name in (method, "lora")}
    if method == "grpo":
        watched = {"backend", "model", "max_failures"}  # see reads_judge
        settings["verifier"] = PARAMS.section_of(run, "verifier").model_dump(include=watched)
    return settings


def training_files(run):
    """The files that the training of a run reads, and no others."""
    row = PARAMS.runs[run]
    if row.method == "none":
        return {}
    files = {
        "base": "models/base",
        "samples": f"data/training/{row.training_set}.parquet",
        "raw": archives_of(PARAMS.training_sets[row.training_set].datasets),
    }
    if row.method == "grpo":
        datasets = PARAMS.training_sets[row.training_set].datasets
        verifier = PARAMS.section_of(run, "verifier")
        # those of another verifier would be of no use
        same = all(
            getattr(verifier, k) == getattr(PARAMS.verifier, k) for k in ("backend", "model")
        )
        snapshots = [f"data/verdicts/precomputed/{name}.parquet" for name in datasets]
        files["verdicts"] = snapshots if same else []
        files["facts"] = TAXONOMIES
        files["weights"] = weights_of(verifier)
    return files


def listed_inputs(run):
    """What of them tells for DVC whether the run has to be trained again; the base, it sees itself."""
    files = {k: v for k, v in training_files(run).items() if k not in ("base", "weights")}
    return sorted(path for v in files.values() for path in ([v] if isinstance(v, str) else v))


def settings_and_code():
    """What each job watches of code and of a run's settings, by its name."""
    items = {"dataset": BENCHMARKS, "folder": FOLDERS, "domain": DATASETS, "run": RUNS}
    items["name"] = list(PARAMS.training_sets)
    for one in workflow.rules:
        watched = {k: v for k, v in one.params.items() if k == "settings" or "/" in k}
        if not watched:
            continue
        (wildcard,) = one.wildcard_names or (None,)
        for item in items.get(wildcard, [None]):
            found = Wildcards(fromdict={wildcard: item} if wildcard else {})
            values = {k: v(found) if callable(v) else v for k, v in watched.items()}
            path = f"{one.name}/{item}" if wildcard else one.name
            settings = values.pop("settings", {})
            code_files = [one for one in values.values() if one is not None]
            yield path, {"settings": settings, "code": code_files}
