"""dvc.yaml and the Snakefile describe one graph: the same stages, parameters and files."""

import csv
import io
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest
from dvc.repo import Repo
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

from tests.workflow.conftest import ROOT, STUDIES

TARGETS = {"taxonomy", "verdicts"}  # a file for each dataset
# and the rule that calls DVC itself, and parts of what another makes
UNVERSIONED = {"all", "version", "predict_shard", *TARGETS, *STUDIES}
LISTED = ("settings", "classes")  # what DVC sees through data/code and data/inputs


def rule_params():
    """The keys of params.yaml that make each rule run again, wildcards as `*`."""
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            snakefile=ROOT / "Snakefile",
            workdir=ROOT,
        )
        return {
            rule.name: {
                re.sub(r"\{\w+\}", "*", key)
                for key, value in rule.params.items()
                if not rule._is_deriving_function(value)  # Snakemake's own test of what it watches
                and not (key in LISTED or "/" in key)
            }
            for rule in workflow._workflow.rules
            if rule.name not in UNVERSIONED
        }


def rule_files(project):
    """Inputs and outputs of each rule's jobs together."""
    inputs, outputs = defaultdict(set), defaultdict(set)
    summary = project.run("snakemake", "--quiet", "all", "--detailed-summary", "all")
    table = summary[summary.index("output_file\t") :]
    for row in csv.DictReader(io.StringIO(table), delimiter="\t"):
        if row["rule"] in UNVERSIONED:
            continue
        outputs[row["rule"]].add(row["output_file"])
        inputs[row["rule"]].update(row["input-file(s)"].split(","))
    return inputs, outputs


def dvc_graph(folder: Path):
    """Params, dependencies, outputs and commands of each DVC stage's items together."""
    params, deps, outs, commands = (defaultdict(set) for _ in range(4))
    with Repo(str(folder)) as repo:
        for stage in repo.index.stages:
            rule, _, item = stage.name.partition("@")
            for dep in stage.deps:
                if getattr(dep, "params", None):  # none where a file is read whole
                    params[rule] |= {
                        f"{key.removesuffix(item)}*" if item and key.endswith(f".{item}") else key
                        for key in dep.params
                    }
                else:
                    deps[rule].add(dep.def_path)
            outs[rule] |= {out.def_path for out in stage.outs}
            commands[rule].add(stage.cmd.partition(" -- ")[2])
    return params, deps, outs, commands


def inside(path, folders):
    parents = {path, *map(str, PurePosixPath(path).parents)}
    return bool(parents & folders)


@pytest.mark.chain
def test_the_two_graphs_are_one(finished):
    expected = rule_params()
    inputs, outputs = rule_files(finished)
    params, deps, outs, commands = dvc_graph(finished.folder)

    assert set(commands) == set(expected) == set(outputs)
    assert expected.pop("list_code") == {"digest"}  # of what its params, code and rules make
    assert params.pop("list_code") >= {"runs", "grpo", "sft", "lora", "verifier", "judge"}
    for stage in ("train", "predict", "judge"):  # DVC reads no params.yaml for each run
        lists = finished.folder.glob(f"data/code/{stage}/*.json")
        read = [set(json.loads(path.read_text())["params"]) for path in lists
                if not path.name.endswith(".digest.json")]  # fmt: skip
        assert read and all(keys == expected[stage] for keys in read)
        assert not params[stage]
        expected[stage] = set()
    assert {stage: params[stage] for stage in expected} == expected
    deps["train"] |= {path for path in deps["list_inputs"] if "data/code/" not in path}
    for stage in set(commands) - {"list_code"}:
        lists = {path for path in deps[stage] if path.startswith("data/code/")}
        assert lists and all(path.startswith(f"data/code/{stage}") for path in lists)
        deps[stage] -= lists
    deps["train"] = {path for path in deps["train"] if not path.startswith("data/inputs/")}
    for stage in set(commands) - {"list_code"}:
        assert commands[stage] <= outputs[stage] | TARGETS, (
            f"{stage}: the command makes another target"
        )
        for path in outputs[stage]:
            assert inside(path, outs[stage]), f"{stage}: {path} is not versioned"
        for path in inputs[stage] - {"-", ""}:
            seen = inside(path, deps[stage]) or f"{path}/digest.json" in deps[stage]
            assert seen, f"{stage}: {path} is no dependency of the DVC stage"
        for folder in deps[stage]:
            digest_of = folder.removesuffix("/digest.json")
            used = any(inside(path, {digest_of}) for path in inputs[stage])
            assert used, f"{stage}: the rule does not read {folder}"


def test_the_paper_s_preset_asks_for_the_real_archives():
    command = ["snakemake", "--cores", "1", "--dry-run", "--configfile", "params.yaml"]
    done = subprocess.run(
        [*command, "workflow/presets/paper.yaml", "--", "all"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "download" in done.stdout and "render_mirror" not in done.stdout
