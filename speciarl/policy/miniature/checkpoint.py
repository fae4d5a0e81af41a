"""What a killed pretraining goes on from, exactly: weights, optimizer, and the draw of lessons."""

import hashlib
import io
import logging
import time
from pathlib import Path

import numpy as np
import torch

from speciarl.files import atomic_write, content_hash

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds
DIGEST = 32  # bytes before the content, since torch does not notice a flipped bit


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


class Checkpoint:
    """One file, named by the settings and by the code that made it, so that no other is taken up.

    Args:
        settings: plain values.
        model: restored and saved in place, as are `optimizer` and `rng`.
    """

    def __init__(
        self, work: Path, settings: object, model: torch.nn.Module,
        optimizer: torch.optim.Optimizer, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        code = sorted(Path(__file__).parent.glob("*.py"))
        self.path = work / f"{content_hash(code, settings)}.pt"
        self.model, self.optimizer, self.rng = model, optimizer, rng
        self.saved = time.monotonic()

    def restore(self) -> int:
        """Put everything back as it was; returns how many steps were done.

        A damaged file is named in the log, and training starts anew.
        """
        if not self.path.exists():
            return 0
        kept = self.path.read_bytes()
        content = kept[DIGEST:]
        if _digest(content) != kept[:DIGEST]:
            log.warning("%s is damaged: starting anew", self.path)
            return 0
        state = torch.load(io.BytesIO(content), weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]
        log.info("going on after step %d, from %s", state["steps"], self.path)
        return state["steps"]

    def save_if_due(self, steps: int) -> None:
        """Keep the state after so many steps, if the last is half a minute old."""
        if time.monotonic() - self.saved < EVERY:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
            "steps": steps,
        }
        torch.save(state, content := io.BytesIO())
        with atomic_write(self.path) as partial:
            partial.write_bytes(_digest(content.getvalue()) + content.getvalue())
        self.saved = time.monotonic()
