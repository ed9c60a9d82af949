"""What every test keeps: no unexpected warning in the log, no task and no thread left behind, fake time on request."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[1]))  # `from tests.line import ...`, however pytest is called

from tests.fake_clock import FakeClock, FakeLoop

settings.register_profile("quick", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("quick"), max_examples=100, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")

collect_ignore = ["component"]  # runs in Home Assistant's own environment: tests/component/run.sh

#: Loggers of other people's programs, which may warn as they like.
STRANGERS = ("amqtt", "dlms_cosem", "gurux", "pydlms", "transitions")
RUNNER = "_function_scoped_runner"


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "expect_log(*substrings): the test logs warnings or errors: each holds one of these, each of these is logged",
        "slow_once: slow and the same on every Python: run on one version only",
        "packages: builds, installs and runs packages and images; a step of its own in tests/run",
    ):
        config.addinivalue_line("markers", line)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:  # nohup, a job in the background: programs under test inherit it
            signal.signal(number, signal.SIG_DFL)


def pytest_asyncio_loop_factories(item: pytest.Function) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test that asks for ``clock`` runs on fake time, every other one on real time."""
    fake = "clock" in getattr(item, "fixturenames", ())
    return {"fake": FakeLoop} if fake else {"real": asyncio.new_event_loop}


@pytest.fixture
async def clock() -> AsyncIterator[FakeClock]:
    """The clock of the fake loop that the test runs on; in a test that is not async, one to ``run`` coroutines with."""
    loop = asyncio.get_running_loop()
    yield loop.clock if isinstance(loop, FakeLoop) else FakeClock()


def _of_python(record: logging.LogRecord) -> bool:
    """Python 3.12.0 and 3.12.1 log the cancelled task of a stream server's connection as an error."""
    return sys.version_info < (3, 12, 2) and "StreamReaderProtocol.connection_made" in record.getMessage()


class _Watch(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(STRANGERS) and not _of_python(record):
            self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _quiet_log(request: pytest.FixtureRequest) -> Iterator[None]:
    watch = _Watch()
    logging.getLogger().addHandler(watch)
    yield
    logging.getLogger().removeHandler(watch)
    expected = [text for marker in request.node.iter_markers("expect_log") for text in marker.args]
    surprising = [message for message in watch.messages if not any(text in message for text in expected)]
    assert not surprising, f"logged without pytest.mark.expect_log: {surprising}"
    missing = [text for text in expected if not any(text in message for message in watch.messages)]
    assert not missing, f"expected in the log and not there: {missing}"


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest, _quiet_log: None) -> Iterator[None]:
    """Asked for before the test's other fixtures, so that it looks after they have cleaned up."""
    runner: Any = request.getfixturevalue(RUNNER) if RUNNER in request.fixturenames else None
    before = set(threading.enumerate())
    yield
    if runner is not None:
        _check_tasks(runner.get_loop())
    _check_threads(before)


def _check_tasks(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))  # lets what was cancelled at the very end finish
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    assert not left, f"tasks left behind: {left}"


def _check_threads(before: set[threading.Thread]) -> None:
    """The event loop's own pool (``asyncio_``) ends with the loop, a moment later."""

    def left() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t not in before and not t.name.startswith("asyncio_")]

    deadline = time.monotonic() + 30
    while left() and time.monotonic() < deadline:  # not joined: one may be just about to start
        time.sleep(0.005)
    assert not left(), f"threads left behind: {left()}"
