from pathlib import Path

from speciarl.files import atomic_directory
from speciarl.policy.build import build_policy
from speciarl.stage import section, stage

with stage(snakemake.log[0]), atomic_directory(Path(snakemake.output[0])) as into:
    build_policy(
        into,
        snakemake.params["policy"],
        **section(snakemake.params, "miniature"),
        work=Path("work/build_policy"),
        threads=snakemake.threads,
    )
