"""A model as judge in the workflow: what makes a stage run again, and what does not."""

import yaml

SNAPSHOT = "data/verdicts/precomputed.parquet"
MODEL = {"kind": "server", "name": "judge", "revision": "1", "prompt": "base"}
SERVER = {"base_url": "http://127.0.0.1:9/v1"}
IDLE = "Nothing to be done"


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
