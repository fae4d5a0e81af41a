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
    # Before predictions, since one follows; of what could start the longest, lest it ends alone.
    priority: lambda w: 100 * len(PARAMS.runs[w.run].seeds)
    threads: threads_of("train")
    resources:
        **takes("train"),
    params:
        **code("train", unread=code_unread_in_training, jobs=[{"run": run} for run in RUNS]),
        # what trains a run again; with threads, and so unwatched, is all that it is started with
        settings=lambda wildcards: training_settings(PARAMS, wildcards.run),
        classes=lambda w: inputs_of(PARAMS, w.run).classes or None,
        values=lambda wildcards, threads: IN_FULL,
        store=store_of_job,
    script:
        "../scripts/train.py"
