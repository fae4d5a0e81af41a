"""A Slurm of one node, this machine, with all that it writes in a folder of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
START_SECONDS = 60
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES State=UP
"""


def missing() -> list[str]:
    """The programs that it needs and that are not installed (Debian: slurm-wlm, munge)."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


class Slurm(ExitStack):
    """Up until the block ends; whoever asks it has `environment`.

    Raises:
        RuntimeError: it did not start, with the end of its logs.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}

    def __enter__(self) -> "Slurm":
        super().__enter__()
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder, user=getpass.getuser(), host=socket.gethostname().split(".")[0],
                controller=_free_port(), node=_free_port(), cpus=os.cpu_count(),
            )
        )  # fmt: skip
        files = {
            name: self.folder / f"munge.{name}" for name in ("socket", "key", "log", "pid", "seed")
        }
        self._start(
            "munged", "--foreground", "--force", f"--socket={files['socket']}",
            f"--key-file={files['key']}", f"--log-file={files['log']}",
            f"--pid-file={files['pid']}", f"--seed-file={files['seed']}",
        )  # fmt: skip
        self._wait(files["socket"].exists)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        self._wait(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        return self

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints; nothing where it fails."""
        environment = os.environ | self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("w") as output:
            process = subprocess.Popen(
                command, env=os.environ | self.environment, stdout=output, stderr=output
            )
        self.callback(_end, process)

    def _wait(self, up) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not up():
            if time.monotonic() > deadline:
                logs = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
                said = "\n".join(f"{log.name}: {log.read_text()[-800:]}" for log in logs)
                self.close()
                raise RuntimeError(f"Slurm did not start:\n{said}")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
