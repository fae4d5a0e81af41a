"""The judge on a real vLLM server: alone, in the cascade, in training; killed and started again."""

import logging
import threading
import time
from types import SimpleNamespace

import polars as pl
import pytest

from speciarl.cache import VerdictCache, query_store
from speciarl.config import Grpo, Run, VerifierConfig
from speciarl.errors import VerifierError
from speciarl.training.job import Inputs, Settings
from speciarl.training.run import Outputs, train
from speciarl.verdicts import COUNTS, LABELS, FailureKind, Pair
from speciarl.verifiers.cached import CachedVerifier
from speciarl.verifiers.factory import build_verifier
from tests.vllm.conftest import CLASSES, FACTS
from tests.vllm.server import MODEL

GENERATIONS = 6
ROLLOUTS = 4
UNHEARD_OF = [Pair("Herring Gull", f"zyzzyva {number}") for number in range(120)]


def settings(server, backend, **reached):
    return VerifierConfig.model_validate(
        {
            "backend": backend,
            "model": {"kind": "server", "name": MODEL, "revision": "random"},
            "server": {"base_url": server.url, "retries": 0, **reached},
        }
    )


def test_every_pair_gets_one_of_the_six_labels(server):
    before = server.answered()
    judged = dict(build_verifier(settings(server, "llm"), FACTS, CLASSES).judge(UNHEARD_OF))
    assert set(judged) == set(UNHEARD_OF)
    assert {one.decided_by for one in judged.values()} == {"llm"}
    assert all(one.verdict.value == one.judge_reply in LABELS for one in judged.values())
    assert server.answered() - before == len(UNHEARD_OF)


def test_the_cascade_asks_only_what_rules_and_taxonomy_leave_open(server):
    before = server.answered()
    predictions = ("none", "larus argentatus", "gull", "ivory gull", "zyzzyva quux")
    pairs = [Pair("Herring Gull", prediction) for prediction in predictions]
    judged = dict(build_verifier(settings(server, "cascade"), FACTS, CLASSES).judge(pairs))
    decided_by = [judged[pair].decided_by for pair in pairs]
    assert decided_by == ["rules", "taxonomy", "taxonomy", "taxonomy", "llm"]
    assert server.answered() - before == 1


class KillsServer:
    """A verifier in whose mid-batch the server is killed."""

    def __init__(self, verifier, server, after):
        self.verifier, self.server, self.after = verifier, server, after
        self.identity = verifier.identity

    def judge(self, pairs):
        for number, judged in enumerate(self.verifier.judge(pairs)):
            if number == self.after:
                self.server.kill()
            yield judged


def open_source(verifier, folder):
    return CachedVerifier(
        verifier, VerdictCache(folder / "cache.duckdb", verifier.identity, "run"), set()
    )


def test_a_server_killed_in_mid_batch_costs_only_what_was_not_answered(server, tmp_path):
    verifier = build_verifier(settings(server, "llm", concurrency=4), FACTS, CLASSES)
    judged, counts = open_source(KillsServer(verifier, server, 20), tmp_path).judge(UNHEARD_OF)
    answered = [pair for pair in UNHEARD_OF if judged[pair].verdict]
    failures = [one.failure for one in judged.values() if not one.verdict]
    assert len(answered) >= 20
    assert len(failures) == counts.failures == len(UNHEARD_OF) - len(answered) > 0
    assert {one.kind for one in failures} <= {FailureKind.UNREACHABLE, FailureKind.NOT_ASKED}
    assert all(server.url in one.message for one in failures)

    server.start()
    again = build_verifier(settings(server, "llm"), FACTS, CLASSES)
    source = open_source(again, tmp_path)
    assert [p for p, one in zip(UNHEARD_OF, source.cache.get(UNHEARD_OF), strict=True) if one] == (
        answered
    )
    judged, counts = source.judge(UNHEARD_OF)
    assert all(one.verdict for one in judged.values())
    assert counts.asked == server.answered() == len(failures)


@pytest.fixture
def run(server, policy, manifest, tmp_path):
    """A miniature training run whose every prediction the judge sees, and where it leaves what."""
    columns = ("verifier", "class", "prediction", "verdict", "decided_by")
    keys = dict.fromkeys(("key_high", "key_low"), pl.UInt64)
    nothing = pl.DataFrame(schema=dict.fromkeys(columns, pl.String) | keys)
    nothing.write_parquet(tmp_path / "precomputed.parquet")
    outputs = Outputs(
        model=tmp_path / "model", metrics=tmp_path / "metrics.parquet",
        verdicts=tmp_path / "verdicts.parquet", predictions=tmp_path / "predictions.parquet",
        work=tmp_path / "work",
    )  # fmt: skip
    inputs = Inputs(
        base=policy, samples=manifest, verdicts=[tmp_path / "precomputed.parquet"],
        classes=CLASSES, facts=FACTS, store=tmp_path / "cache.duckdb", images=manifest.parent,
    )  # fmt: skip
    chosen = Settings(
        run=Run(method="grpo", num_generations=ROLLOUTS),
        grpo=Grpo(steps=GENERATIONS, prompts_per_step=2, checkpoint_every=1),
        verifier=settings(server, "llm", give_up_after=2),
    )
    return SimpleNamespace(
        outputs=outputs,
        start=lambda: train("run", chosen, inputs, outputs, threads=1),
        store=tmp_path / "cache.duckdb",
    )


def kill_after_checkpoint(server, work):
    """Kill the server as soon as there is a checkpoint to go on from; bounded."""
    for _ in range(2400):
        if list(work.glob("*/checkpoint-*/progress.json")):
            break
        time.sleep(0.05)
    server.kill()


def verdicts_paid_for(store):
    """Of a copy: the writer of a run that has just failed may still have the file open."""
    return query_store(store, "SELECT count(*) FROM verdicts WHERE decided_by = 'llm'").item()


def test_training_goes_on_with_a_server_that_was_killed(server, run, caplog):
    watching = threading.Thread(target=kill_after_checkpoint, args=(server, run.outputs.work))
    watching.start()
    try:
        with pytest.raises(VerifierError, match="predictions have no verdict") as stopped:
            run.start()
    finally:
        watching.join()
    assert server.url in str(stopped.value)
    assert not run.outputs.model.exists() and not run.outputs.metrics.exists()
    paid_for = verdicts_paid_for(run.store)
    assert paid_for > 0

    server.start()
    with caplog.at_level(logging.INFO):
        run.start()
    assert "going on from checkpoint" in caplog.text
    rows = pl.read_parquet(run.outputs.metrics)
    assert rows.height == GENERATIONS
    assert rows["failed"].sum() == 0
    for row in rows.iter_rows(named=True):
        assert sum(row[name] for name in (*COUNTS, "unparsable")) == 2 * ROLLOUTS
    assert "llm" in pl.read_parquet(run.outputs.verdicts)["decided_by"].to_list()
    assert server.answered() == verdicts_paid_for(run.store) - paid_for > 0
