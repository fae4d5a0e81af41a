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
        **reads("evaluation", "datasets.splits"),
        **code("predict", unread=code_unread_in_prediction),
        settings=lambda w: PARAMS.runs[w.run].model_dump(
            include={"prompt", "seeds", "best_of", "answer_tag"}
        ),
    script:
        "../scripts/predict.py"


rule judge:
    input:
        predictions="results/predictions/{run}",
        verdicts=expand("data/verdicts/precomputed/{name}.parquet", name=DATASETS),
        facts=TAXONOMIES,
        weights=weights_of(PARAMS.judge),
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
        **code("judge", unread=lambda w: judge_unread(PARAMS.judge)),
        classes=classes_to_name(PARAMS),
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
    script:
        "../scripts/export_paid_verdicts.py"


rule score:
    input:
        verdicts=expand("results/verdicts/{run}", run=RUNS),
        facts=TAXONOMIES,
        embedder=embedder_of(PARAMS.measures),
    output:
        scores="results/scores.parquet",
        differences="results/differences.parquet",
        best_of="results/best_of.parquet",
        measures="results/measures.parquet",
        metrics="results/metrics.json",
    log:
        "logs/score.log",
    benchmark:
        "benchmarks/score.tsv"
    resources:
        cpu=1,
    params:
        **reads("groups", "specificity", "measures"),
        **code("score", unread=code_unread_in_scoring),
        settings={"runs": RUNS, "unseen": UNSEEN, "base": PARAMS.sampled_base},
        classes=classes_to_name(PARAMS),
    script:
        "../scripts/score.py"
