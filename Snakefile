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


rule all:
    default_target: True
    input:
        "results/report.html",
        "results/metrics.json",
        RECORD,
