import os
import subprocess
import sys
from pathlib import Path

from speciarl.config import load
from speciarl.errors import ConfigError, DataError, one_line
from speciarl.files import write_json
from speciarl.paths import PROJECT
from speciarl.stage import stage
from speciarl.versioning.record import make_record, remove_damaged

COMMIT = [sys.executable, "-m", "dvc", "commit", "--force"]

with stage(snakemake.log[0]):
    if snakemake.params.workspace:
        record = make_record(Path("dvc.yaml"), snakemake.params.values, PROJECT)
        write_json(record, Path(snakemake.output[0]))
    elif "DVC_STAGE" in os.environ:  # dvc started us, holds its lock, and writes the record itself
        print("left to the dvc that runs this stage")
    elif load([Path("params.yaml")]).model_dump() != snakemake.params.values:
        raise ConfigError(
            "params.yaml was edited while this ran: what was made is of its values at the start, "
            "and dvc.lock is as before; start again"
        )
    else:
        remove_damaged(Path())
        done = subprocess.run(COMMIT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(done.stdout, end="")
        if done.returncode:
            errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
            said = one_line(" ".join(errors) or f"exit code {done.returncode}")
            raise DataError(f"`dvc commit` failed ({said}): all results are there, start again")
