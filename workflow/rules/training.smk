def code_unread_in_training(wildcards):
    run = PARAMS.runs[wildcards.run]
    methods = {"sft": "speciarl/training/sft.py", "grpo": "speciarl/training/verified.py"}
    unused = {path for method, path in methods.items() if method != run.method}
    return unused | judge_unread("verifier", policy=[run.prompt])


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
        **reads_judge("verifier"),
        **code("train", unread=code_unread_in_training),
        settings=lambda wildcards: training_settings(wildcards.run),
        classes=lambda w: classes_to_name() if PARAMS.runs[w.run].method == "grpo" else None,
        store=STORE,
    script:
        "../scripts/train.py"
