"""A run's predictions in several jobs: the bytes of a single one, whatever is lost on the way."""

import shutil

import pytest

pytestmark = [pytest.mark.chain, pytest.mark.long]

RUN = "best_of_4"


def made(project, kind):
    folder = project.folder / "results" / kind / RUN
    files = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_shards_make_the_files_of_a_single_job(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    expected = {kind: made(project, kind) for kind in ("predictions", "verdicts")}
    for folder in (*(f"results/{kind}" for kind in expected), "work/predict"):
        shutil.rmtree(project.folder / folder / RUN)
    project.change(evaluation={"shards": 2})
    output = project.snakemake(
        "--notemp", "--until", "predict_shard", "--", f"results/verdicts/{RUN}"
    )
    assert output.count("rule predict_shard:") == 2 and "rule predict:" not in output
    kept = sorted((project.folder / "work/predict" / RUN).glob("*/*.parquet"))
    kept[-1].unlink()
    times = {path: path.stat().st_mtime_ns for path in kept[:-1]}

    failed = project.snakemake(f"results/verdicts/{RUN}", code=1)
    line = rf"work/predict/{RUN} lacks 1 of {len(kept)} parts, of shard"
    assert line in failed and "Traceback" not in failed
    assert {path: path.stat().st_mtime_ns for path in times} == times

    project.snakemake(f"results/verdicts/{RUN}")
    assert {kind: made(project, kind) for kind in expected} == expected
    assert sorted((project.folder / "work/predict" / RUN).glob("*/*.parquet")) == kept
    assert "Nothing to be done" in project.snakemake("--dry-run", f"results/verdicts/{RUN}")
