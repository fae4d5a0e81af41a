# On one machine a job for each run predicts it all: what imports and loads is done once. With more
# shards each is a job with a device of its own, and the last one puts their parts together.
PREDICTED_FROM = {
    "base": "models/base",
    "model": "models/{run}",
    "manifests": expand("data/manifests/{name}.parquet", name=DATASETS),
    "raw": archives_of(DATASETS),
}
SHARDS = PARAMS.evaluation.shards
SHARD = "work/predict/{run}/{shard}.done"


rule predict:
    input:
        **PREDICTED_FROM,
        shards=expand(SHARD, shard=range(1, SHARDS + 1), allow_missing=True) if SHARDS > 1 else [],
    output:
        directory("results/predictions/{run}"),
    log:
        "logs/predict/{run}.log",
    benchmark:
        "benchmarks/predict/{run}.tsv"
    priority: lambda w: PARAMS.runs[w.run].best_of - 1
    threads: threads_of("predict")
    resources:
        **takes("predict") | ({} if SHARDS == 1 else {"gpu": 0}),  # which the shards need
    params:
        **reads("evaluation", "datasets.splits"),
        **code("predict", unread=code_unread_in_prediction, jobs=[{"run": run} for run in RUNS]),
        settings=lambda w: PARAMS.runs[w.run].model_dump(
            include={"prompt", "seeds", "best_of", "answer_tag"}
        ),
    script:
        "../scripts/predict.py"


use rule predict as predict_shard with:
    input:
        **PREDICTED_FROM,
    output:
        temp(SHARD),
    log:
        "logs/predict/{run}/{shard}.log",
    benchmark:
        "benchmarks/predict/{run}/{shard}.tsv"
    resources:
        **takes("predict"),


rule judge:
    input:
        predictions="results/predictions/{run}",
        manifests=PREDICTED_FROM["manifests"],
        verdicts=expand("data/verdicts/precomputed/{name}.parquet", name=DATASETS),
        facts=TAXONOMIES,
        weights=weights_of(PARAMS.judge),
    output:
        directory("results/verdicts/{run}"),
    log:
        "logs/judge/{run}.log",
    benchmark:
        "benchmarks/judge/{run}.tsv"
    threads: threads_of("judge")
    resources:
        **takes("judge"),
    params:
        **reads("datasets.splits"),
        **reads_judge("judge", "backend", "model", "max_failures"),
        **code("judge", unread=lambda w: unread_by_judge(PARAMS.judge.model)),
        classes=[
            [datasets, classes_to_name(PARAMS, datasets)]
            for datasets in PARAMS.datasets.judged_together
        ],
        settings=lambda w: PARAMS.runs[w.run].model_dump(include={"seeds", "best_of"}),
        store=store_of_job,
    script:
        "../scripts/judge.py"


# What the store holds of judges that cost money or hours; with it, a clone's store begins anew.
rule export_paid_verdicts:
    input:
        expand("data/verdicts/precomputed/{name}.parquet", name=DATASETS),
        expand("results/training/{run}/verdicts.parquet", run=RUNS),
        expand("results/verdicts/{run}", run=RUNS),
    output:
        update("data/verdicts/paid.parquet"),
    log:
        "logs/export_paid_verdicts.log",
    benchmark:
        "benchmarks/export_paid_verdicts.tsv"
    resources:
        cpu=1,
    params:
        **reads("judge.model", "verifier.model"),
        **code("export_paid_verdicts"),
        store=store_of_job,
    script:
        "../scripts/export_paid_verdicts.py"


rule score:
    input:
        verdicts=expand("results/verdicts/{run}", run=RUNS),
        facts=TAXONOMIES,
        embedder=embedder_of(PARAMS.measures),
        weights=weights_of(PARAMS.measures),
    output:
        scores="results/scores.parquet",
        differences="results/differences.parquet",
        best_of="results/best_of.parquet",
        measures="results/measures.parquet",
        stops="results/stops.parquet",
        metrics="results/metrics.json",
    log:
        "logs/score.log",
    benchmark:
        "benchmarks/score.tsv"
    threads: threads_of("score")
    resources:
        **takes("score"),
    params:
        **reads("groups", "specificity"),
        **reads_judge("measures", "model", "max_failures", "embedding_model"),
        **code("score", unread=code_unread_in_scoring),
        settings={"runs": RUNS, "unseen": UNSEEN, "base": PARAMS.sampled_base},
        classes=classes_to_name(PARAMS),
        store=store_of_job,
    script:
        "../scripts/score.py"
