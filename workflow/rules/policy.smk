rule build_policy:
    output:
        directory("models/base"),
    log:
        "logs/build_policy.log",
    benchmark:
        "benchmarks/build_policy.tsv"
    threads: min(2, PROCESSORS)
    resources:
        cpu=min(2, PROCESSORS),
    params:
        **reads(
            "policy",
            "miniature.image_size",
            "miniature.ambiguous_share",
            "miniature.classes_per_group",
        ),
        **code("build_policy", unread=lambda w: other_prompts(["plain", "be_specific"])),
    script:
        "../scripts/build_policy.py"
