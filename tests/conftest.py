"""How pytest runs the tests, and what many of them need."""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("tests.kit")

import tests.kit.profiles  # noqa: E402, F401  # what is imported before is not rewritten
from tests.kit.certificates import Authority  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option for what would take too long each time."""
    parser.addoption("--thorough", action="store_true", help="try often what the suite tries a few times: an hour")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`, two for each core: most of these tests wait for something most of the time."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes two minutes begins first: others can be done meanwhile."""
    items.sort(key=lambda item: item.path.stem != "test_two_minutes")


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether a test that can try something any number of times shall try it often (`--thorough`)."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of the relay and of those that it trusts."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which nobody is told to trust."""
    return Authority(tmp_path_factory.mktemp("strangers"), "stranger")
