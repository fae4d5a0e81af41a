"""The reward bridge under two real processes: one asks, both get verdicts, a fault stops both."""

from tests.ranks import run_two

SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace

from accelerate import PartialState

from speciarl.cache import VerdictCache
from speciarl.errors import SpeciaRLError, VerifierError
from speciarl.verifiers.cached import CachedVerifier
from speciarl.rewards import REWARDS
from speciarl.training.processes import Processes
from speciarl.training.reward_function import SpecificityReward
from speciarl.verdicts import Verdict
from speciarl.verdicts import Judgment


class Verifier:
    identity = {"verifier": "ranks"}
    read = ()

    def judge(self, pairs):
        self.read = [pair.written for pair in pairs]
        if any(pair.prediction == "poison" for pair in pairs):
            raise VerifierError("the judge is gone")
        if any(pair.prediction == "fault" for pair in pairs):
            raise RuntimeError("a fault of ours")
        levels = {"herring gull": Verdict.SPECIFIC, "gull": Verdict.LESS_SPECIFIC}
        return ((p, Judgment(levels.get(p.prediction, Verdict.WRONG), "t")) for p in pairs)


state = PartialState(cpu=True)
rank = state.process_index
source = None
if state.is_main_process:
    verifier = Verifier()
    cache = VerdictCache(Path(sys.argv[1]), verifier.identity, "run")
    source = CachedVerifier(verifier, cache, set())
bridge = SpecificityReward(source, REWARDS["dynamic"], 0.0, Processes(rank, 2))


def call(*predictions):
    completions = [[{"content": f"<answer>{a}</answer>"}] for a in predictions]
    names = ["Herring Gull"] * len(predictions)
    return bridge(completions, row=[rank] * len(predictions), class_name=names,
                  trainer_state=SimpleNamespace(global_step=0))


rewards = call("gull", "tern") if rank == 0 else call("**Herring Gull**", "GULL")
row = bridge.rows[0]
print(f"rank {rank}", rewards, row["specific"], row["less_specific"], row["wrong"], row["reward"])
if source:
    print(verifier.read)


def stopped(first, second):
    try:
        call("gull", second) if rank == 1 else call("gull", first)
    except (SpeciaRLError, RuntimeError, OSError) as error:
        print(f"rank {rank} {type(error).__name__}: {error}")


stopped("tern", "poison")
stopped("tern", "fault")
if source:
    def note_lookup(**counts):
        raise OSError("no space left")
    source.cache.note_lookup = note_lookup
stopped("tern", "gull")
state.destroy_process_group()
"""


def test_one_process_asks_and_all_get_the_verdicts(tmp_path):
    output = run_two(SCRIPT, tmp_path / "cache.duckdb", timeout=120)
    first = "the first process failed"
    # Each group is rewarded by its own best; the counts are those of both processes.
    assert output[0][0].splitlines() == [
        "rank 0 [1.0, 0.0] 1 2 1 0.5",
        "['gull', 'tern', 'Herring Gull']",
        "rank 0 VerifierError: the judge is gone",
        "rank 0 RuntimeError: a fault of ours",
        "rank 0 OSError: no space left",
    ]
    assert output[1][0].splitlines() == [
        "rank 1 [1.0, 0.0] 1 2 1 0.5",
        "rank 1 VerifierError: the judge is gone",
        f"rank 1 TrainingError: {first} (RuntimeError: a fault of ours): see its traceback",
        f"rank 1 TrainingError: {first} (OSError: no space left): see its traceback",
    ]
