"""What takes minutes begins before the first test, and goes on beside the others; its own test waits for its end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.kit.certificates import Authority
from tests.kit.two_minutes import two_minutes_of_slow_and_silent_peers


@pytest.fixture(scope="session", autouse=True)
def two_minutes(request: pytest.FixtureRequest) -> Iterator[Future[None] | None]:
    """The two minutes of `long/test_two_minutes`, if its test is to be run."""
    if not any(item.path.stem == "test_two_minutes" for item in request.session.items):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(two_minutes_of_slow_and_silent_peers)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of the relay and of those that it trusts."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which nobody is told to trust."""
    return Authority(tmp_path_factory.mktemp("strangers"), "stranger")
