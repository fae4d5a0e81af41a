import subprocess
import sys
from pathlib import Path

from speciarl.errors import SpeciaRLError
from speciarl.files import write_json
from speciarl.stage import stage

with stage(snakemake.log[0]):
    name = snakemake.wildcards.study
    over = Path(f"workspaces/{name}.yaml")
    write_json({**snakemake.params["over"], "workspace": name}, over)  # JSON is YAML
    command = [sys.executable, "-m", "snakemake", "--cores", str(snakemake.threads)]
    command += ["--quiet", "rules", "progress", "host", "--configfile"]
    command += [*snakemake.params["files"], str(over), "--", "results/scores.parquet"]
    print(*command)
    inner = subprocess.Popen(command)  # its stages say on the terminal how they fare
    try:
        inner.wait()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit):  # Ctrl-C it has had itself
            inner.terminate()
        inner.wait()
        raise
    if inner.returncode:
        raise SpeciaRLError(f"{name} was not finished: see the lines above, then start it again")
