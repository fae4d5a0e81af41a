rule report:
    input:
        scores="results/scores.parquet",
        differences="results/differences.parquet",
        training=expand("results/training/{run}/metrics.parquet", run=RUNS),
        predictions=expand("results/training/{run}/answers.parquet", run=RUNS),
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
        **code("report"),
    script:
        "../scripts/report.py"
