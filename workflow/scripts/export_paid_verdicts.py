from pathlib import Path

from speciarl.cache.transfer import export_paid
from speciarl.paths import STORE
from speciarl.stage import stage

with stage(snakemake.log[0]):
    count = export_paid(STORE, Path(snakemake.output[0]))
    print(f"{count} verdicts of language models")
