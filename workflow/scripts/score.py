from pathlib import Path

from speciarl.config import Weights
from speciarl.evaluation.best_of import curves
from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.scores import (
    areas_of,
    best_of_all,
    differences,
    metrics_tree,
    read_judged,
    score,
)
from speciarl.files import write_json, write_parquet
from speciarl.stage import section, stage
from speciarl.verdicts import Verdict

with stage(snakemake.log[0]):
    judged = read_judged(map(Path, snakemake.input))
    settings = snakemake.params["settings"]
    runs = settings["runs"]
    areas = areas_of(snakemake.params["groups"], settings["unseen"])
    specificity = section(snakemake.params, "specificity", Weights)
    weights = {Verdict[name.upper()]: weight for name, weight in specificity}
    datasets = [area.name for area in areas if area.level == "dataset"]
    best = best_of_all(judged, runs, datasets)
    replicates = Replicates(best, datasets, weights)
    scores = score(best, replicates, areas, weights)
    write_parquet(scores, Path(snakemake.output.scores))
    write_parquet(differences(runs, replicates, areas), Path(snakemake.output.differences))
    write_parquet(curves(judged, areas, weights), Path(snakemake.output.best_of))
    write_json(metrics_tree(scores), Path(snakemake.output.metrics))
