"""``dlms-mqtt run``: the bridge until SIGINT or SIGTERM; SIGHUP reloads the configuration."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.app import App
from dlms_mqtt.bridge.systemd import JournalFormatter, is_journal

_LOG = logging.getLogger(__name__)
_SILENCE = 60.0  # s
_THREADS_END = 0.5  # s that threads have to end what they do; nothing that they write is cut in two


def run_bridge(path: Path, verbose: int = 0) -> None:
    """Serve until a signal; ConfigError, StoreError. ``verbose`` goes before the file's level."""
    app = App(path)
    _set_up_log((app.config.bridge.log_level, "info", "debug")[min(verbose, 2)])
    asyncio.run(_serve(app))


async def _serve(app: App) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(TellOnce())
    loop.set_default_executor(Threads())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, app.stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # who started us as an app has held it back until now
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        if len(reloads) < 2:  # the second waits for the first and reads what the file says then
            task = loop.create_task(_reload(app))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await app.run()


class Threads(ThreadPoolExecutor):
    """A thread each for the loop's calls that block, and none keeps the process from ending.

    A name server that does not answer holds such a call for half a minute, and asyncio would wait for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._running: set[Future[Any]] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """As of any executor."""
        future: Future[Any] = Future()
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        Thread(target=_work, args=(future, partial(work, *args, **named)), daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Whoever is not done by then ends with the process."""
        wait_for(list(self._running), _THREADS_END)


def _work(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


class TellOnce:
    """The exception handler of the loop: that nothing can be accepted comes each second, and is told once a minute."""

    def __init__(self) -> None:
        self._logged_at = -_SILENCE

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """As the loop's own, for everything else."""
        if not str(context.get("message", "")).startswith("socket.accept()"):
            loop.default_exception_handler(context)
        elif loop.time() - self._logged_at >= _SILENCE:
            self._logged_at = loop.time()
            _LOG.warning("no connection can be accepted now: %s", context.get("exception"))


async def _reload(app: App) -> None:
    try:
        await app.reload()
    except RequestError:
        _LOG.warning("The running configuration stays in force")


def _set_up_log(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    if is_journal(sys.stderr.fileno(), os.environ):
        logging.getLogger().handlers[0].setFormatter(JournalFormatter())
    for noisy in ("asyncio", "mqtt"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
