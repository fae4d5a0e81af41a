rule build_taxonomy:
    input:
        manifest="data/manifests/{domain}.parquet",
        facts=TAXONOMIES,
    output:
        "data/taxonomy/{domain}.parquet",
    log:
        "logs/build_taxonomy/{domain}.log",
    benchmark:
        "benchmarks/build_taxonomy/{domain}.tsv"
    resources:
        cpu=1,
    params:
        **code("build_taxonomy"),
    script:
        "../scripts/build_taxonomy.py"


rule taxonomy:
    input:
        expand("data/taxonomy/{name}.parquet", name=DATASETS),
