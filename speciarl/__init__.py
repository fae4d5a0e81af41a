"""Specificity-aware reinforcement learning for open-world fine-grained classification."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("speciarl")  # of git's last tag when it was installed
except PackageNotFoundError:
    __version__ = "unknown: not installed"
