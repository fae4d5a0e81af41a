from pathlib import Path

from speciarl.cache.transfer import export_paid
from speciarl.stage import stage

with stage(snakemake.log[0]):
    into = Path(snakemake.output[0])
    print(f"{export_paid(into.with_name('cache.duckdb'), into)} verdicts of language models")
