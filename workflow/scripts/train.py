from speciarl.cache.exchange import own_store
from speciarl.config import parse
from speciarl.stage import stage
from speciarl.training.launch import start

run = snakemake.wildcards.run
with (
    stage(snakemake.log[0], gpus=snakemake.resources.gpu),
    own_store(snakemake.params.store, run, f"train-{run}") as store,
):
    params = parse(snakemake.params["values"] | {"verdicts": {"store": str(store)}})
    of_each = max(1, snakemake.threads // params.training.devices)
    start(run, params, of_each)
