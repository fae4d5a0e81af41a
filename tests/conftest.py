import pytest

from tests import facts


@pytest.fixture(scope="session")
def taxonomy():
    return facts.taxonomy()


@pytest.fixture(scope="session")
def judge():
    return facts.judge()
