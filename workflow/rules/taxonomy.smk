rule build_taxonomy:
    input:
        manifest="data/manifests/{domain}.parquet",
        facts=lambda wildcards: facts_of([wildcards.domain]),
    output:
        "data/taxonomy/{domain}.parquet",
    log:
        "logs/build_taxonomy/{domain}.log",
    benchmark:
        "benchmarks/build_taxonomy/{domain}.tsv"
    threads: threads_of("build_taxonomy")
    resources:
        **takes("build_taxonomy"),
    params:
        **code("build_taxonomy"),
    script:
        "../scripts/build_taxonomy.py"


rule taxonomy:
    input:
        expand("data/taxonomy/{name}.parquet", name=DATASETS),
