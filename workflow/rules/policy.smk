# The model of the hub is fetched where there is a network: not on a cluster's nodes.
if PARAMS.policy.source == "hub":

    localrules:
        build_policy,


rule build_policy:
    output:
        directory("models/base"),
    log:
        "logs/build_policy.log",
    benchmark:
        "benchmarks/build_policy.tsv"
    priority: -1  # nothing runs beside it on two processors: what is short goes first
    threads: threads_of("build_policy")
    resources:
        **takes("build_policy"),
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
