rule precompute_verdicts:
    input:
        taxonomy="data/taxonomy/{domain}.parquet",
        facts=lambda wildcards: facts_of([wildcards.domain]),
        weights=weights_of(PARAMS.verifier),
    output:
        "data/verdicts/precomputed/{domain}.parquet",
    log:
        "logs/precompute_verdicts/{domain}.log",
    benchmark:
        "benchmarks/precompute_verdicts/{domain}.tsv"
    threads: threads_of("precompute_verdicts")
    resources:
        **takes("precompute_verdicts"),
    params:
        **reads_judge("verifier", "backend", "model", "precompute_model"),
        **code("precompute_verdicts", unread=lambda w: unread_by_judge(PARAMS.verifier.model)),
        classes=lambda wildcards: classes_to_name(PARAMS, [wildcards.domain]),
        store=store_of_job,
    script:
        "../scripts/precompute_verdicts.py"


rule verdicts:
    input:
        expand("data/verdicts/precomputed/{name}.parquet", name=DATASETS),
