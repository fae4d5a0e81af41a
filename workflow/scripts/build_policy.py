from pathlib import Path

from speciarl.config import Policy
from speciarl.config.data import Miniature
from speciarl.files import atomic_directory
from speciarl.paths import WORK
from speciarl.policy.build import build_policy
from speciarl.stage import section, stage

with (
    stage(snakemake.log[0], gpus=snakemake.resources.gpu),
    atomic_directory(Path(snakemake.output[0])) as into,
):
    build_policy(
        into,
        section(snakemake.params, "policy", Policy),
        section(snakemake.params, "miniature", Miniature),
        work=WORK / "build_policy",
        threads=snakemake.threads,
    )
