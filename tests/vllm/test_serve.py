"""`speciarl serve` with a real vLLM: a judge that waits for the file asks the server behind it."""

import os
import signal
import subprocess
import sys

import yaml

from speciarl.config import VerifierConfig
from speciarl.verdicts import LABELS, Pair
from speciarl.verifiers.factory import build_verifier
from tests.presets import ROOT
from tests.vllm.conftest import CLASSES, FACTS


def test_a_judge_that_is_served_by_its_section(judge, tmp_path, monkeypatch):
    for name in ("params.yaml", "data", "workflow", "speciarl"):
        (tmp_path / name).symlink_to(ROOT / name)
    section = {
        "backend": "llm",
        "model": {"kind": "server", "name": str(judge), "revision": "random"},
        "server": {"base_url": "file:work/servers/judge.url", "wait_seconds": 600},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"workspace": "mine", "judge": section}))
    process = subprocess.Popen(
        [
            sys.executable, "-m", "speciarl.cli.main", "serve", "judge",
            "--params", "params.yaml", "--params", "mine.yaml",
        ],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        (tmp_path / "workspaces/mine").mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(tmp_path / "workspaces/mine")
        verifier = build_verifier(VerifierConfig.model_validate(section), FACTS, CLASSES)
        pairs = [Pair("Herring Gull", f"zyzzyva {number}") for number in range(5)]
        judged = dict(verifier.judge(pairs))  # waits for the file
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=90)
    assert [judged[pair].judge_reply in LABELS for pair in pairs] == [True] * 5, said
    assert process.returncode == 128 + signal.SIGTERM
    assert not list((tmp_path / "workspaces/mine/work/servers").iterdir())
