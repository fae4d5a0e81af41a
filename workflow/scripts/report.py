from pathlib import Path

import polars as pl

from speciarl.config import parse
from speciarl.report.agreement import judges_differ
from speciarl.report.build import build_report
from speciarl.report.findings import seen_groups
from speciarl.report.page import Evidence
from speciarl.report.tables import load_published
from speciarl.stage import stage

with stage(snakemake.log[0]):
    params = parse({k: v for k, v in snakemake.params.items() if k.isidentifier()})
    training, predictions = (
        dict(zip(params.runs, map(pl.read_parquet, files), strict=True))
        for files in (snakemake.input.training, snakemake.input.predictions)
    )
    folders = map(Path, snakemake.input.judged)
    judged = [pl.read_parquet(p) for folder in folders for p in sorted(folder.glob("*/*.parquet"))]
    rendered = params.datasets.mirror == "miniature" and params.datasets.splits
    small = params.policy.source == "miniature"
    tables = [key for key, _ in snakemake.params.items() if key.startswith("results/")]
    studies = {Path(path).stem: pl.read_csv(path) for path in tables}
    evidence = Evidence(
        scores=pl.read_parquet(snakemake.input.scores),
        differences=pl.read_parquet(snakemake.input.differences),
        best_of=pl.read_parquet(snakemake.input.best_of),
        measures=pl.read_parquet(snakemake.input.measures),
        training=training,
        predictions=predictions,
        runs=[name for name, row in params.runs.items() if row.like is None],
        weights=params.specificity.model_dump(),
        published=load_published().of(params.groups),
        seen=seen_groups(params),
        miniature=["images"] * bool(rendered) + ["policy"] * small,
        judged=judged if judges_differ(params.verifier, params.judge) else (),
        **studies,
    )
    build_report(evidence, params.model_dump(), Path(snakemake.output.page).parent)
