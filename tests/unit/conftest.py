import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is no fault of the code
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Requests to loopback go there, whatever proxy the environment names."""
    monkeypatch.setenv("NO_PROXY", "*")
