"""A model as judge in the workflow: when it is down, and what makes a stage run again."""

import duckdb
import yaml

SNAPSHOT = "data/verdicts/precomputed.parquet"
MODEL = {"kind": "server", "name": "judge", "revision": "1", "prompt": "base"}
SERVER = {"base_url": "http://127.0.0.1:9/v1"}
IDLE = "Nothing to be done"


def test_a_judge_that_is_down_is_named_in_one_line(project):
    down = {**SERVER, "retries": 0}
    project.change(verifier={"backend": "llm", "model": MODEL, "server": down})
    output = project.snakemake(SNAPSHOT, code=1)
    (line,) = [one for one in output.splitlines() if one.startswith("error:")]
    assert "have no verdict" in line and down["base_url"] in line
    assert "Traceback" not in output
    assert not (project.folder / SNAPSHOT).exists()
    with duckdb.connect(str(project.folder / "data/verdicts/cache.duckdb"), read_only=True) as db:
        kept = db.execute("SELECT decided_by, min(verdict) FROM verdicts GROUP BY 1").fetchall()
    assert kept == [("rules", "abstain")]


def test_another_address_makes_nothing_run_again_but_another_prompt_does(project):
    """The taxonomy knows all of its own terms, so that nobody is asked here."""
    project.change(verifier={"backend": "cascade", "model": MODEL, "server": SERVER})
    project.snakemake(SNAPSHOT)
    assert IDLE in project.snakemake("--dry-run", SNAPSHOT)

    elsewhere = {"base_url": "http://127.0.0.1:10/v1", "concurrency": 3, "read_timeout": 1.0}
    project.change(verifier={"server": elsewhere, "max_failures": 0.5})
    assert IDLE in project.snakemake("--dry-run", SNAPSHOT)

    project.change(verifier={"model": {**MODEL, "prompt": "checklist"}})
    plan = project.snakemake("--dry-run", SNAPSHOT)
    assert "precompute_verdicts" in plan and IDLE not in plan

    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]
    read = [key for stage in stages.values() for key in stage.get("do", stage)["params"]]
    assert "verifier.model" in read and "judge.model" in read
    assert not [key for key in read if key.endswith(".server")]
