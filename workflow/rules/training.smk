rule train:
    input:
        unpack(lambda wildcards: training_files(wildcards.run)),
    output:
        model=directory("models/{run}"),
        metrics="results/training/{run}/metrics.parquet",
        verdicts="results/training/{run}/verdicts.parquet",
        predictions="results/training/{run}/predictions.parquet",
    log:
        "logs/train/{run}.log",
    benchmark:
        "benchmarks/train/{run}.tsv"
    resources:
        cpu=1,
    params:
        **reads_judge("training"),  # none of it watched
        **code("train", unread=code_unread_in_training),
        # with threads, and so unwatched: what of it trains again is in the settings
        verifier=lambda w, threads: PARAMS.section_of(w.run, "verifier").model_dump(),
        settings=lambda wildcards: training_settings(wildcards.run),
        classes=lambda w: classes_to_name() if PARAMS.runs[w.run].method == "grpo" else None,
    script:
        "../scripts/train.py"
