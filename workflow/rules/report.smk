rule report:
    input:
        scores="results/scores.parquet",
        training=expand("results/training/{run}/metrics.parquet", run=RUNS),
        answers=expand("results/training/{run}/answers.parquet", run=RUNS),
        judged=expand("results/verdicts/{run}", run=RUNS),
    output:
        page="results/report.html",
        tables=expand("results/tables/{name}.csv", name=["main", "datasets", "counts"]),
        plots=expand("results/plots/{name}.csv", name=["training", "levels"]),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    resources:
        cpu=1,
    params:
        **reads(*PARAMS.model_dump()),
    script:
        "../scripts/report.py"


# No stage but the record of all, by DVC or, in a workspace, beside it: after an edit, DVC itself
# brings dvc.lock up to date, and a benchmark file would keep the time of the run before.
rule version:
    input:
        "results/report.html",
        "results/metrics.json",
        "data/verdicts/paid.parquet",
    output:
        update(RECORD),
    log:
        "logs/version.log",
    params:
        workspace=PARAMS.workspace,
        values=lambda wildcards, threads: PARAMS.model_dump(),
    script:
        "../scripts/version.py"
