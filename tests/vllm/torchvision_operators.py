"""Lets a torchvision from the package index be imported beside a torch for the CPU.

`make test-vllm` copies this file into its environment, with a .pth file beside it that has Python
import it at every start (a sitecustomize of the system's own would go before one of ours). The
operators in torchvision's wheel are built for CUDA and cannot be loaded there, and without `nms`
and `qnms` it fails on import. Nothing here detects objects, so it is enough that they are named;
whoever calls one gets torch's error that it is not implemented.
"""

import sys

OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
KEPT = []  # operators go with the library object that named them


class NameOperators:
    """Waits for the import of torchvision, so that other starts of Python need not load torch."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                library = torch.library.Library("torchvision", "DEF")
                for operator in OPERATORS:
                    library.define(operator + SIGNATURE)
                KEPT.append(library)


sys.meta_path.insert(0, NameOperators())
