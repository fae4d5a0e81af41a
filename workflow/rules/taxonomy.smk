rule build_taxonomy:
    input:
        manifests=expand("data/manifests/{name}.parquet", name=DATASETS),
        facts=TAXONOMIES,
    output:
        "data/taxonomy.parquet",
    log:
        "logs/build_taxonomy.log",
    benchmark:
        "benchmarks/build_taxonomy.tsv"
    resources:
        cpu=1,
    params:
        **reads("datasets.splits"),
        **code("build_taxonomy"),
    script:
        "../scripts/build_taxonomy.py"
