rule precompute_verdicts:
    input:
        taxonomy="data/taxonomy.parquet",
        facts=TAXONOMIES,
        weights=weights_of("verifier"),
    output:
        "data/verdicts/precomputed.parquet",
    log:
        "logs/precompute_verdicts.log",
    benchmark:
        "benchmarks/precompute_verdicts.tsv"
    resources:
        cpu=1,
    params:
        **reads_judge("verifier", "backend", "model"),
        **code("precompute_verdicts", unread=lambda w: judge_unread("verifier")),
    script:
        "../scripts/precompute_verdicts.py"
