"""Two processes of a script that train together, over gloo on the loopback."""

import os
import socket
import subprocess
import sys


def run_two(script: str, argument: object, timeout: int) -> list[tuple[str, str]]:
    """Run a script on both; gives what each has written to standard output and error.

    Args:
        argument: what the script finds as sys.argv[1].
        timeout: seconds, for each.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(argument)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | together | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    output = [process.communicate(timeout=timeout) for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], output
    return output
