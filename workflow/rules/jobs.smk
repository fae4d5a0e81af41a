# What a job reads and is made of, by its wildcards.
from snakemake.iocontainers import Wildcards


def code_unread_in_training(wildcards):
    run = PARAMS.runs[wildcards.run]
    methods = {"sft": "speciarl/training/sft.py", "grpo": "speciarl/training/verified.py"}
    unused = {path for method, path in methods.items() if method != run.method}
    unused.add("speciarl/policy/serving.py")  # of a rollout server, which trains nothing again
    unused.add("speciarl/datasets/readers/folders.py")  # the names that it reads are watched
    if run.method != "grpo":
        unused.add("speciarl/training/rollouts.py")
    judge = PARAMS.section_of(wildcards.run, "verifier")
    return unused | judge_unread(judge, policy=[run.prompt])


def code_unread_in_prediction(wildcards):
    idle = {"speciarl/evaluation/vllm_engine.py"} if PARAMS.evaluation.engine != "vllm" else set()
    return idle | other_prompts([PARAMS.runs[wildcards.run].prompt])


def code_unread_in_scoring(wildcards):
    given = {"similarity": PARAMS.measures.embedding_model, "inclusion": PARAMS.measures.model}
    idle = {f"speciarl/evaluation/{name}.py" for name, model in given.items() if not model}
    return idle | judge_unread(PARAMS.measures)


def training_files(run):
    """The files that the training of a run reads, and no others."""
    row = PARAMS.runs[run]
    read = inputs_of(PARAMS, run)
    if row.method == "none":
        return {}
    files = {
        "base": str(read.base),
        "samples": str(read.samples),
        "raw": archives_of(PARAMS.training_sets[row.training_set].datasets),
    }
    if row.method == "grpo":
        files["verdicts"] = [str(path) for path in read.verdicts]
        files["facts"] = TAXONOMIES
        files["weights"] = weights_of(PARAMS.section_of(run, "verifier"))
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
        if not watched or one.name == "predict_shard":  # which watches what `predict` does
            continue
        (wildcard,) = one.wildcard_names or (None,)
        for item in items.get(wildcard, [None]):
            found = Wildcards(fromdict={wildcard: item} if wildcard else {})
            values = {k: v(found) if callable(v) else v for k, v in watched.items()}
            path = f"{one.name}/{item}" if wildcard else one.name
            settings = values.pop("settings", {})
            code_files = [one for one in values.values() if one is not None]
            yield path, {"settings": settings, "code": code_files}
