rule render_mirror:
    output:
        directory("data/mirror/{dataset}"),
    log:
        "logs/render_mirror/{dataset}.log",
    benchmark:
        "benchmarks/render_mirror/{dataset}.tsv"
    resources:
        cpu=1,
    params:
        **reads("miniature"),
        **code(
            "render_mirror",
            unread=lambda w: others("speciarl/datasets/miniature/layouts", w.dataset),
            jobs=[{"dataset": name} for name in BENCHMARKS],
        ),
    script:
        "../scripts/render_mirror.py"


rule download:
    input:
        sources="data/sources.csv",
        mirror=lambda wildcards: mirror_of(wildcards.dataset),
    output:
        # not the folder itself: a failed job would lose what it has already fetched
        "data/raw/{dataset}/files.json",
    log:
        "logs/download/{dataset}.log",
    benchmark:
        "benchmarks/download/{dataset}.tsv"
    resources:
        cpu=1,
    params:
        **reads("datasets.mirror", "datasets.offline_dir"),
        **code("download"),
    script:
        "../scripts/download.py"


rule manifest:
    input:
        raw="data/raw/{dataset}/files.json",
        counts="data/counts.csv",
    output:
        "data/manifests/{dataset}.parquet",
    log:
        "logs/manifest/{dataset}.log",
    benchmark:
        "benchmarks/manifest/{dataset}.tsv"
    threads: threads_of("manifest")
    resources:
        **takes("manifest"),
    params:
        **reads("datasets.mirror", "datasets.splits.{dataset}"),
        **code(
            "manifest",
            unread=lambda w: others("speciarl/datasets/readers", w.dataset),
            jobs=[{"dataset": name} for name in BENCHMARKS],
        ),
    script:
        "../scripts/manifest.py"


rule manifest_folder:
    input:
        lambda wildcards: newest_of(wildcards.folder),
    output:
        "data/manifests/{folder}.parquet",
    log:
        "logs/manifest_folder/{folder}.log",
    benchmark:
        "benchmarks/manifest_folder/{folder}.tsv"
    threads: threads_of("manifest_folder")
    resources:
        **takes("manifest_folder"),
    params:
        **reads("datasets.folders.{folder}"),
        **code("manifest_folder", unread=lambda w: others("speciarl/datasets/readers", "folders")),
    script:
        "../scripts/manifest_folder.py"


rule sample_training:
    input:
        lambda wildcards: expand(
            "data/manifests/{name}.parquet",
            name=PARAMS.training_sets[wildcards.name].datasets,
        ),
    output:
        "data/training/{name}.parquet",
    log:
        "logs/sample_training/{name}.log",
    benchmark:
        "benchmarks/sample_training/{name}.tsv"
    resources:
        cpu=1,
    params:
        **reads("training_sets.{name}"),
        **code("sample_training"),
    script:
        "../scripts/sample_training.py"
