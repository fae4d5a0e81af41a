import pytest


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Requests to loopback go there, whatever proxy the environment names."""
    monkeypatch.setenv("NO_PROXY", "*")
