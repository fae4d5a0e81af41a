from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/jobs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/taxonomy.smk"
include: "workflow/rules/verdicts.smk"
include: "workflow/rules/policy.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/versioning.smk"


# What is light runs where Snakemake was started, also where the others are submitted.
localrules:
    all,
    render_mirror,
    download,
    sample_training,
    taxonomy,
    verdicts,
    export_paid_verdicts,
    list_code,
    list_inputs,
    version,
    study,
    robustness,
    rollouts,
    ablations,


rule all:
    default_target: True
    input:
        lambda wildcards: list(made_by_stages()),
        RECORD,
