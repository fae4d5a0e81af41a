from pathlib import Path

import polars as pl

from speciarl.config import Weights
from speciarl.evaluation.metrics import metrics_tree, score
from speciarl.files import write_json, write_parquet
from speciarl.stage import section, stage
from speciarl.verdicts import Verdict

with stage(snakemake.log[0]):
    judged = pl.concat(
        pl.read_parquet(path).with_columns(run=pl.lit(path.parent.name))
        for folder in snakemake.input
        for path in sorted(Path(folder).glob("*.parquet"))
    )
    groups = {name: group for group, names in snakemake.params["groups"].items() for name in names}
    specificity = section(snakemake.params, "specificity", Weights)
    weights = {Verdict[name.upper()]: weight for name, weight in specificity}
    scores = score(judged, snakemake.params["settings"]["runs"], groups, weights)
    write_parquet(scores, Path(snakemake.output.scores))
    write_json(metrics_tree(scores), Path(snakemake.output.metrics))
