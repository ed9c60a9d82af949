"""``with SyncMeter(...) as meter``: the same as ``Meter`` for programs without asyncio, safe from any thread.

A thread of its own runs the event loop while the meter is open. Inside a running event loop it works too, and holds
that loop up while it waits; ``Meter`` does not.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from datetime import datetime, tzinfo
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.library.connection import Connection
from dlms_mqtt.library.meter import Meter, Named
from dlms_mqtt.library.meter_line import State
from dlms_mqtt.library.results import ClockDrift, MeterObject, Profile, Reading
from dlms_mqtt.transport import Transport

T = TypeVar("T")


class SyncMeter:
    """One meter, blocking; arguments, results and errors are those of ``Meter``."""

    def __init__(
        self,
        line: str | Transport = "",
        *,
        reconnect: bool = False,
        timezone: str | tzinfo | None = None,
        state: State = "auto",
        **connection: Unpack[Connection],
    ) -> None:
        self._begin(Meter(line, reconnect=reconnect, timezone=timezone, state=state, **connection))

    def _begin(self, meter: Meter) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], meter: str = "", *, reconnect: bool = False) -> Self:
        """See ``Meter.from_config``."""
        self = cls.__new__(cls)
        self._begin(Meter.from_config(path, meter, reconnect=reconnect))
        return self

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """See ``Meter.open``."""
        with self._lock:
            if self._loop is not None:
                raise LocalProtocolError("this meter is open already")
            loop = asyncio.new_event_loop()
            # A daemon: a program that forgets to close the meter must be able to end.
            thread = threading.Thread(target=_run_loop, args=(loop,), name=f"dlms {self._meter.line}", daemon=True)
            thread.start()
            self._loop, self._thread, self._process = loop, thread, os.getpid()
        try:
            self._run(self._meter.open())
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """See ``Meter.close``."""
        if self._loop is None:
            return
        try:
            if self._process == os.getpid():
                self._run(self._meter.close())
        finally:
            self._stop()

    def _stop(self) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None or self._process != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it; what interrupts the waiting (Ctrl-C) cancels it."""
        loop = self._loop
        if loop is None or self._process != os.getpid() or threading.current_thread() is self._thread:
            work.close()
            raise _no_loop(forked=loop is not None)
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    # -- the same as Meter --------------------------------------------------------------------------------------------

    @overload
    def read(self, wanted: Named, /) -> Reading: ...
    @overload
    def read(self, wanted: Named, second: Named, /, *more: Named) -> list[Reading]: ...
    @overload
    def read(self, wanted: list[str] | list[MeterObject] | tuple[Named, ...], /) -> list[Reading]: ...
    def read(
        self, wanted: Named | list[str] | list[MeterObject] | tuple[Named, ...], /, *more: Named
    ) -> Reading | list[Reading]:
        """See ``Meter.read``."""
        return self._run(self._meter.read(wanted, *more))

    def objects(self, *, fresh: bool = False) -> list[MeterObject]:
        """See ``Meter.objects``."""
        return self._run(self._meter.objects(fresh=fresh))

    def profile(
        self,
        obis: Named,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        first: int | None = None,
        count: int | None = None,
        exact: bool = False,
    ) -> Profile:
        """See ``Meter.profile``."""
        return self._run(self._meter.profile(obis, start=start, end=end, first=first, count=count, exact=exact))

    def write(self, item: Named, value: Any, *, type: str | None = None) -> None:  # noqa: A002
        """See ``Meter.write``."""
        self._run(self._meter.write(item, value, type=type))

    def invoke(self, method: Named, argument: Any = None, *, type: str | None = None) -> Any:  # noqa: A002
        """See ``Meter.invoke``."""
        return self._run(self._meter.invoke(method, argument, type=type))

    def clock(self) -> ClockDrift:
        """See ``Meter.clock``."""
        return self._run(self._meter.clock())

    def set_clock(self) -> datetime:
        """See ``Meter.set_clock``."""
        return self._run(self._meter.set_clock())

    @property
    def line(self) -> str:
        """See ``Meter.line``."""
        return self._meter.line

    def __repr__(self) -> str:
        return f"<Sync{repr(self._meter)[1:]}"


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _no_loop(*, forked: bool) -> LocalProtocolError:
    if forked:
        return LocalProtocolError(
            "this meter was opened in another process", hint="Open one of its own in each process, after the fork."
        )
    return LocalProtocolError("the meter is not open", hint="Use it inside `with SyncMeter(...) as meter:`.")
