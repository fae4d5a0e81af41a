from pathlib import Path

from speciarl.config import Measures, Weights
from speciarl.evaluation.best_of import curves
from speciarl.evaluation.intervals import Replicates
from speciarl.evaluation.measures import measure
from speciarl.evaluation.scores import (
    areas_of,
    best_of_all,
    differences,
    metrics_tree,
    read_judged,
    score,
)
from speciarl.evaluation.stops import SAID, placed, stops
from speciarl.files import write_json, write_parquet
from speciarl.stage import section, stage
from speciarl.taxonomy import Taxonomy
from speciarl.verdicts import Verdict

with stage(snakemake.log[0], gpus=snakemake.resources.gpu):
    judged = read_judged(map(Path, snakemake.input.verdicts))
    settings = snakemake.params["settings"]
    runs = settings["runs"]
    areas = areas_of(snakemake.params["groups"], settings["unseen"])
    specificity = section(snakemake.params, "specificity", Weights)
    weights = {Verdict[name.upper()]: weight for name, weight in specificity}
    datasets = [area.name for area in areas if area.level == "dataset"]
    best = best_of_all(judged, runs, datasets, SAID)
    replicates = Replicates(best, datasets, weights)
    scores = score(best, replicates, areas, weights)
    facts = Path(snakemake.input.facts[0]).parent
    taxonomy = Taxonomy.of_classes(facts, snakemake.params["classes"])
    rows = placed(best, taxonomy)
    asked = section(snakemake.params, "measures", Measures)
    similarity = inclusion = None
    if asked.embedding_model:
        from speciarl.evaluation.similarity import Embedder

        similarity = Embedder(Path(asked.embedding_model))
    if asked.model:
        from speciarl.evaluation.inclusion import inclusion_by

        inclusion = inclusion_by(asked, snakemake.params.store)
    measures = measure(rows, areas, settings["base"], similarity, inclusion)
    write_parquet(scores, Path(snakemake.output.scores))
    write_parquet(differences(runs, replicates, areas), Path(snakemake.output.differences))
    write_parquet(curves(judged, areas, weights), Path(snakemake.output.best_of))
    write_parquet(measures, Path(snakemake.output.measures))
    write_parquet(stops(rows, taxonomy), Path(snakemake.output.stops))
    write_json(metrics_tree(scores), Path(snakemake.output.metrics))
