def training_set(wildcards):
    return PARAMS.training_sets[PARAMS.runs[wildcards.run].training_set]


rule train:
    input:
        base="models/base",
        samples=lambda w: f"data/training/{PARAMS.runs[w.run].training_set}.parquet",
        raw=lambda w: expand("data/raw/{dataset}/files.json", dataset=training_set(w).datasets),
        verdicts="data/verdicts/precomputed.parquet",
        taxonomy="data/taxonomy.parquet",
        facts=TAXONOMIES,
    output:
        model=directory("models/{run}"),
        metrics="results/training/{run}/metrics.parquet",
        verdicts="results/training/{run}/verdicts.parquet",
    log:
        "logs/train/{run}.log",
    benchmark:
        "benchmarks/train/{run}.tsv"
    resources:
        cpu=1,
    params:
        **reads("runs.{run}", "grpo", "sft", "lora", "verifier"),
    script:
        "../scripts/train.py"
