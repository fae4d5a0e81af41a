rule train:
    input:
        base="models/base",
        samples=lambda w: f"data/training/{training_set_of(w.run)[0]}.parquet",
        raw=lambda w: archives_of(training_set_of(w.run)[1].datasets),
        verdicts="data/verdicts/precomputed.parquet",
        taxonomy="data/taxonomy.parquet",
        facts=TAXONOMIES,
        weights=weights_of("verifier"),
    output:
        model=directory("models/{run}"),
        metrics="results/training/{run}/metrics.parquet",
        verdicts="results/training/{run}/verdicts.parquet",
        answers="results/training/{run}/answers.parquet",
    log:
        "logs/train/{run}.log",
    benchmark:
        "benchmarks/train/{run}.tsv"
    resources:
        cpu=1,
    params:
        **reads("runs.{run}", "grpo", "sft", "lora"),
        **reads_judge("verifier", "backend", "model", "max_failures"),
    script:
        "../scripts/train.py"
