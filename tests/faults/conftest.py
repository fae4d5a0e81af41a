"""Disks of a few megabytes, and the small copy of the project that tests/workflow runs."""

import os
import subprocess

import pytest

from tests.workflow.conftest import finished, project  # noqa: F401 (fixtures)


class Disk:
    """A mounted tmpfs."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if os.geteuid() or subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("needs to be root, and let to mount a tmpfs")

    def fill(self, spare=0):
        """Leave room for so many bytes."""
        with (self.path / "fill").open("wb", 0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                file.truncate(max(file.tell() - spare, 0))

    def clear(self):
        (self.path / "fill").unlink()


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a tmpfs of so many bytes; a test that may not is skipped."""
    disks = []

    def mount(size=4 << 20):
        disks.append(Disk(tmp_path / f"disk{len(disks)}", size))
        return disks[-1]

    yield mount
    for disk in disks:
        subprocess.run(["umount", "--lazy", str(disk.path)], check=False)
