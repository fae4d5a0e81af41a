# What a job reads and is made of, by its wildcards.


def code_unread_in_training(wildcards):
    return settings_of(PARAMS, wildcards.run).unread


def code_unread_in_prediction(wildcards):
    idle = {"speciarl/evaluation/vllm_engine.py"} if PARAMS.evaluation.engine != "vllm" else set()
    return idle | other_prompts([PARAMS.runs[wildcards.run].prompt])


def code_unread_in_scoring(wildcards):
    given = {"similarity": PARAMS.measures.embedding_model, "inclusion": PARAMS.measures.model}
    idle = {f"speciarl/evaluation/{name}.py" for name, model in given.items() if not model}
    return idle | unread_by_judge(PARAMS.measures.model)


def made_by_stages():
    """All that the report comes from, which Snakemake would not miss.

    It takes results for new where what they came from is gone, and a job that fails loses what an
    earlier one has made.
    """
    used = {row.training_set for row in PARAMS.runs.values() if row.method != "none"}
    for job in settings_and_code():
        stage, _, item = job.partition("/")
        unused = stage == "sample_training" and item not in used
        if not unused and (stage != "render_mirror" or mirror_of(item)):
            one = workflow.get_rule(stage)
            found = dict.fromkeys(one.wildcard_names, item)
            yield from (str(file.apply_wildcards(found)) for file in one.output)


def training_files(run):
    """The files that the training of a run reads, and no others."""
    row = PARAMS.runs[run]
    read = inputs_of(PARAMS, run)
    if row.method == "none":
        return {}
    files = {
        "base": str(read.base),
        "samples": str(read.samples),
        "raw": [str(path) for path in read.archives],
    }
    if row.method == "grpo":
        files["verdicts"] = [str(path) for path in read.verdicts]
        files["facts"] = facts_of(PARAMS.training_sets[row.training_set].datasets)
        files["weights"] = weights_of(PARAMS.section_of(run, "verifier"))
    return files


def listed_inputs(run):
    """What of them tells for DVC whether the run has to be trained again; the base, it sees itself."""
    files = {k: v for k, v in training_files(run).items() if k not in ("base", "weights")}
    return sorted(path for v in files.values() for path in ([v] if isinstance(v, str) else v))


@cache
def settings_and_code():
    """What each job watches of code, of a run's settings and params.yaml, by its name."""
    items = {"dataset": BENCHMARKS, "folder": FOLDERS, "domain": DATASETS, "run": RUNS}
    items["name"] = list(PARAMS.training_sets)
    watched = {}
    for one in workflow.rules:
        if one.name not in CODE:  # without `predict_shard`, which watches what `predict` does
            continue
        (wildcard,) = one.wildcard_names or (None,)
        for item in items.get(wildcard, [None]):
            found = Wildcards(fromdict={wildcard: item} if wildcard else {})
            settings = one.params.get("settings", {})
            files = CODE[one.name](found).items()
            listed = {
                "settings": settings(found) if callable(settings) else settings,
                "code": [f"{file} {digest}" for file, digest in files],
            }
            watched[f"{one.name}/{item}" if wildcard else one.name] = listed
            if wildcard == "run":  # DVC would parse params.yaml for each of them
                listed["params"] = sections_of(one.params)
    return watched


def sections_of(params):
    """What of a rule's params comes from params.yaml, by its keys there, and is watched."""
    sections = type(PARAMS).model_fields
    return {
        key: value
        for key, value in params.items()
        if key.partition(".")[0] in sections and not callable(value)
    }
