# Whole runs with other parameters, each in a workspace of its own, and what they say together. None
# is part of `all`.

BASE_SEEDS = [PARAMS.policy.seed + 1, PARAMS.policy.seed + 2]
# And the images of each to train on: as many in all of fewer classes.
CLASSES_PER_GROUP = {4: 30, 8: 20}
DEFAULTS = PROJECT / "params.yaml"
PRESETS = PROJECT / "workflow/presets"
ROLLOUTS = [PRESETS / "rollouts.yaml"]
ABLATIONS = [PRESETS / "ablations.yaml", PRESETS / "ablations-miniature.yaml"]

# By workspace: the files of parameters and what overrides them.
STUDIES = {f"base-{seed}": ([], {"policy": {"seed": seed}}) for seed in BASE_SEEDS}
STUDIES |= {
    f"rollouts-{count}": (
        ROLLOUTS,
        {"miniature": {"classes_per_group": count, "train_per_class": images}},
    )
    for count, images in CLASSES_PER_GROUP.items()
}
STUDIES["ablations"] = (ABLATIONS, {})
# Where the policy is that of `all`, it is not built again.
for alike in (f"rollouts-{PARAMS.miniature.classes_per_group}", "ablations"):
    if alike in STUDIES and PARAMS.policy.source == "miniature":
        STUDIES[alike][1]["policy"] = {
            "source": "directory",
            "path": "models/base",
            "device": "cpu",
        }
        STUDIES[alike][1]["datasets"] = {"mixed_scale": True}
# Where the parameters have ablations, as the paper's preset with ablations.yaml has, these are meant;
# else those of the miniature, in their workspace.
HERE = any(run.like for run in PARAMS.runs.values())
ABLATED = "" if HERE else "workspaces/ablations/"


rule study:
    input:
        lambda w: "models/base" if "path" in STUDIES[w.study][1].get("policy", {}) else [],
    output:
        scores="workspaces/{study}/results/scores.parquet",
        differences="workspaces/{study}/results/differences.parquet",
    log:
        "logs/study/{study}.log",
    benchmark:
        "benchmarks/study/{study}.tsv"
    wildcard_constraints:
        study="|".join(STUDIES),
    threads: PROCESSORS
    resources:
        cpu=PROCESSORS,
    params:
        files=lambda w: list(map(str, [DEFAULTS, *STUDIES[w.study][0]])),
        over=lambda w: STUDIES[w.study][1],
        # watched whole: what of it concerns the study, its own Snakemake finds out
        values=PARAMS.model_dump(),
        code=lambda wildcards: digest_of(settings_and_code()),
    script:
        "../scripts/study.py"


rule robustness:
    input:
        "results/scores.parquet",
        "results/differences.parquet",
        expand("results/verdicts/{run}", run=RUNS),
        expand("workspaces/base-{seed}/results/scores.parquet", seed=BASE_SEEDS),
    output:
        "results/robustness.csv",
    log:
        "logs/robustness.log",
    params:
        folders={
            PARAMS.policy.seed: ".",
            **{seed: f"workspaces/base-{seed}" for seed in BASE_SEEDS},
        },
        unseen=UNSEEN,
        code=digest_of(code_of(SCRIPTS / "robustness.py")),
    script:
        "../scripts/robustness.py"


rule rollouts:
    input:
        expand("workspaces/rollouts-{count}/results/scores.parquet", count=CLASSES_PER_GROUP),
    output:
        "results/rollouts.csv",
    log:
        "logs/rollouts.log",
    params:
        folders={count: f"workspaces/rollouts-{count}" for count in CLASSES_PER_GROUP},
        rollouts=lambda wildcards: {
            name: run.num_generations
            for name, run in speciarl.config.load([DEFAULTS, *ROLLOUTS]).runs.items()
        },
        unseen=UNSEEN,
        trained_on="cub200",
        code=digest_of(code_of(SCRIPTS / "rollouts.py")),
    script:
        "../scripts/rollouts.py"


rule ablations:
    input:
        [] if HERE else "results/rollouts.csv",
        scores=f"{ABLATED}results/scores.parquet",
        differences=f"{ABLATED}results/differences.parquet",
    output:
        "results/ablations.csv",
    log:
        "logs/ablations.log",
    params:
        runs=lambda wildcards: (
            PARAMS if HERE else speciarl.config.load([DEFAULTS, *ABLATIONS])
        ).model_dump()["runs"],
        code=digest_of(code_of(SCRIPTS / "ablations.py")),
    script:
        "../scripts/ablations.py"
