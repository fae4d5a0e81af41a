rule predict:
    input:
        base="models/base",
        model="models/{run}",
        manifests=expand("data/manifests/{name}.parquet", name=DATASETS),
        raw=archives_of(DATASETS),
    output:
        directory("results/predictions/{run}"),
    log:
        "logs/predict/{run}.log",
    benchmark:
        "benchmarks/predict/{run}.tsv"
    resources:
        cpu=1,
        gpu=int(PARAMS.evaluation.engine == "vllm"),  # of which it takes nearly all memory
    params:
        **reads("runs.{run}", "evaluation", "datasets.splits"),
    script:
        "../scripts/predict.py"


rule judge:
    input:
        predictions="results/predictions/{run}",
        verdicts="data/verdicts/precomputed.parquet",
        taxonomy="data/taxonomy.parquet",
        facts=TAXONOMIES,
        weights=weights_of("judge"),
    output:
        directory("results/verdicts/{run}"),
    log:
        "logs/judge/{run}.log",
    benchmark:
        "benchmarks/judge/{run}.tsv"
    resources:
        cpu=1,
    params:
        **reads("datasets.splits"),
        **reads_judge("judge", "backend", "model", "max_failures"),
    script:
        "../scripts/judge.py"


# What the store holds of judges that cost money or hours; with it, a clone's store begins anew.
rule export_paid_verdicts:
    input:
        "data/verdicts/precomputed.parquet",
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
    script:
        "../scripts/export_paid_verdicts.py"


rule score:
    input:
        expand("results/verdicts/{run}", run=RUNS),
    output:
        scores="results/scores.parquet",
        metrics="results/metrics.json",
    log:
        "logs/score.log",
    benchmark:
        "benchmarks/score.tsv"
    resources:
        cpu=1,
    params:
        **reads("runs", "groups", "specificity"),
    script:
        "../scripts/score.py"
