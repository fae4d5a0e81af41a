from speciarl.config import parse
from speciarl.stage import stage
from speciarl.training.launch import start

with stage(snakemake.log[0]):
    start(snakemake.wildcards.run, parse(snakemake.params["values"]), snakemake.threads)
