TABLES = ["main", "datasets", "counts", "seeds", "measures"]


rule report:
    input:
        scores="results/scores.parquet",
        differences="results/differences.parquet",
        best_of="results/best_of.parquet",
        measures="results/measures.parquet",
        stops="results/stops.parquet",
        training=expand("results/training/{run}/metrics.parquet", run=RUNS),
        predictions=expand("results/training/{run}/predictions.parquet", run=RUNS),
        verdicts=expand("results/training/{run}/verdicts.parquet", run=RUNS),
        judged=expand("results/verdicts/{run}", run=RUNS),
        manifests=expand("data/manifests/{name}.parquet", name=DATASETS),
        raw=archives_of(DATASETS),
    output:
        page=report("results/report.html", **captioned("page")),
        tables=[report(f"results/tables/{name}.csv", **captioned(name)) for name in TABLES],
        latex="results/tables/main.tex",
        plots=expand("results/plots/{name}.csv", name=["training", "levels"]),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    threads: threads_of("report")
    resources:
        **takes("report"),
    params:
        **reads(*PARAMS.model_dump()),
        **code("report"),
        # A section each, where the target of the name has made its table. As inputs they would be
        # made again, by hours of training, whenever `all` follows an edit.
        **{
            path: digest_of(Path(path).read_text("utf-8"))
            for path in ("results/rollouts.csv", "results/ablations.csv")
            if os.path.isfile(path)
        },
    script:
        "../scripts/report.py"
