from speciarl.config import parse
from speciarl.stage import stage
from speciarl.training.launch import start

with stage(snakemake.log[0], gpus=snakemake.resources.gpu):
    params = parse(snakemake.params["values"])
    of_each = max(1, snakemake.threads // params.training.devices)
    start(snakemake.wildcards.run, params, of_each)
