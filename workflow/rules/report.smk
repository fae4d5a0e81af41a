rule report:
    input:
        # a section each, where the target of the name has made it
        **{
            name: path
            for name in ("rollouts", "ablations")
            if os.path.isfile(path := f"results/{name}.csv")
        },
        scores="results/scores.parquet",
        differences="results/differences.parquet",
        training=expand("results/training/{run}/metrics.parquet", run=RUNS),
        predictions=expand("results/training/{run}/predictions.parquet", run=RUNS),
        judged=expand("results/verdicts/{run}", run=RUNS),
    output:
        page="results/report.html",
        tables=expand("results/tables/{name}.csv", name=["main", "datasets", "counts", "seeds"]),
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
