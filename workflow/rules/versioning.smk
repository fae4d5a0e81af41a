# For DVC, which cannot compute a dependency: what Snakemake watches of a job beside its files, and
# which files the training of each run reads. dvc.yaml depends on the lists.


rule list_code:
    output:
        directory("data/code"),
    log:
        "logs/list_code.log",
    benchmark:
        "benchmarks/list_code.tsv"
    resources:
        cpu=1,
    params:
        lists=lambda wildcards, threads: settings_and_code(),
        digest=lambda wildcards: digest_of(settings_and_code()),
    script:
        "../scripts/list_code.py"


rule list_inputs:
    input:
        lambda wildcards: sorted({file for run in RUNS for file in listed_inputs(run)}),
    output:
        directory("data/inputs"),
    log:
        "logs/list_inputs.log",
    benchmark:
        "benchmarks/list_inputs.tsv"
    resources:
        cpu=1,
    params:
        **code("list_inputs"),
        settings=lambda wildcards: {run: listed_inputs(run) for run in RUNS},
    script:
        "../scripts/list_inputs.py"


# No stage but the record of all, by DVC or, in a workspace, beside it: after an edit, DVC itself
# brings dvc.lock up to date, and a benchmark file would keep the time of the run before.
rule version:
    input:
        "results/report.html",
        "results/metrics.json",
        "data/verdicts/paid.parquet",
        "data/code",
        "data/inputs",
    output:
        update(RECORD),
    log:
        "logs/version.log",
    params:
        workspace=PARAMS.workspace,
        values=lambda wildcards, threads: PARAMS.model_dump(),
    script:
        "../scripts/version.py"
