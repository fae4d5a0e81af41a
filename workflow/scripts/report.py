from pathlib import Path

import polars as pl

from speciarl.config import parse
from speciarl.evaluation.scores import read_judged
from speciarl.paths import PROJECT
from speciarl.report.agreement import judges_differ
from speciarl.report.build import build_report, digests
from speciarl.report.economy import in_evaluation, in_training
from speciarl.report.examples import examples
from speciarl.report.findings import seen_groups
from speciarl.report.page import Evidence
from speciarl.report.tables import load_published
from speciarl.stage import stage

with stage(snakemake.log[0]):
    params = parse({k: v for k, v in snakemake.params.items() if k.isidentifier()})
    training, predictions, learned = (
        dict(zip(params.runs, map(pl.read_parquet, files), strict=True))
        for files in (
            snakemake.input.training, snakemake.input.predictions, snakemake.input.verdicts
        )
    )  # fmt: skip
    judged = read_judged(map(Path, snakemake.input.judged))
    manifests = pl.concat(map(pl.read_parquet, snakemake.input.manifests))
    runs = [name for name, row in params.runs.items() if row.like is None]
    published = load_published().of(params.groups)
    rendered = params.datasets.mirror == "miniature" and params.datasets.splits
    small = params.policy.source == "miniature"
    tables = [key for key, _ in snakemake.params.items() if key.startswith("results/")]
    studies = {Path(path).stem: pl.read_csv(path) for path in tables}
    evidence = Evidence(
        scores=pl.read_parquet(snakemake.input.scores),
        differences=pl.read_parquet(snakemake.input.differences),
        best_of=pl.read_parquet(snakemake.input.best_of),
        measures=pl.read_parquet(snakemake.input.measures),
        stops=pl.read_parquet(snakemake.input.stops),
        training=training,
        predictions=predictions,
        runs=runs,
        weights=params.specificity.model_dump(),
        published=published,
        seen=seen_groups(params),
        miniature=["images"] * bool(rendered) + ["policy"] * small,
        judged=[judged.collect()] if judges_differ(params.verifier, params.judge) else (),
        examples=examples(judged, manifests, runs, published, PROJECT),
        economy=[
            in_training(predictions, learned, params.verifier),
            in_evaluation(judged, params.judge),
        ],
        **studies,
    )
    read = [*snakemake.input.manifests, snakemake.input.scores, snakemake.input.differences]
    provenance = {"Inputs": digests(read), "Parameters": params.model_dump()}
    build_report(evidence, provenance, Path(snakemake.output.page).parent)
