from pathlib import Path

from speciarl.cache.exchange import take_in_exchanged
from speciarl.cache.transfer import export_paid, refill
from speciarl.stage import stage

with stage(snakemake.log[0]):
    given = snakemake.params.store
    store, paid, exported = Path(given["file"]), Path(given["paid"]), []
    refill(store, paid)
    if "exchange" in given:
        exported = take_in_exchanged(store, paid, Path(given["exchange"]))
    count = export_paid(store, Path(snakemake.output[0]))
    for file in exported:  # whose verdicts are now there
        file.unlink()
    print(f"{count} verdicts of language models")
