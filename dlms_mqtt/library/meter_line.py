"""The line of one meter as a script uses it: opened, asked one question after the other, opened anew where it was lost.

A refused password is remembered, so that no later question sends it again; after a fork only the process that opened
the line speaks on it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import tzinfo
from typing import TYPE_CHECKING, TypeVar

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.refusals import about_secrets
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, DlmsMqttError, LocalProtocolError, RemoteProtocolError, TransportError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.library.connection import zone_named
from dlms_mqtt.transport import Transport

if TYPE_CHECKING:
    from pathlib import Path

    from dlms_mqtt.client.state.store import Store

T = TypeVar("T")
_FRESH = 15.0  # s of silence after which an open association is checked before something that must not be repeated
State = str | os.PathLike[str] | None
"""The state file; ``"auto"``: the one that the command line uses too, opened only where ciphering needs it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the meter, and whose clock and counters hold."""

    settings: ConnectionSettings
    transport: Transport | None
    zone: tzinfo | None
    state: State
    reconnect: bool


class MeterLine:
    """``client``: with an association that is believed to stand; None before the first question and after a loss.

    ValueError where ciphering has nowhere to keep its counters.
    """

    def __init__(self, way: Way) -> None:
        if way.state is None and way.settings.encryption_key and not isinstance(way.settings.invocation_counter, int):
            raise ValueError(
                "state: ciphering needs a state file, or the same key would protect two messages alike; "
                "leave it out, or give invocation_counter a number and see to it yourself that it rises"
            )
        self.way = way
        self.client: DlmsClient | None = None
        self.store: Store | None = None
        self.turn = asyncio.Lock()
        self.memory = Memory()
        self._process = 0  # in which it was opened; 0: it is not open
        self._lost: DlmsMqttError | None = None
        self._refused: DlmsMqttError | None = None

    @property
    def name(self) -> str:
        """The line in words: ``tcp://127.0.0.1:4059``."""
        transport = self.way.transport
        return transport.name if transport is not None else self.way.settings.line

    @property
    def is_open(self) -> bool:
        """Was it opened, and not closed since? The meter may have dropped it meanwhile."""
        return bool(self._process)

    async def open(self) -> None:
        """Open line and association. LocalProtocolError where they are open already."""
        async with self.turn:
            if self._process:
                raise LocalProtocolError("this meter is open already")
            self._process = os.getpid()
            try:
                await self._opened()
            except BaseException:
                await self._end()
                raise

    async def close(self) -> None:
        """After what is being asked, release the association. May be called again."""
        async with self.turn:
            await self._end()

    async def _end(self) -> None:
        here = self._process == os.getpid()  # a fork must not say goodbye on its parent's line
        self._process = 0
        client, self.client = self.client, None
        store, self.store = self.store, None
        try:
            if client is not None and here:
                await client.close()
        finally:
            self._lost = None
            if store is not None and here:
                store.close()

    async def ask(self, question: Callable[[DlmsClient], Awaitable[T]], *, repeat: bool = True) -> T:
        """One question after the other. ``repeat``: where the line turns out to be gone, it may be asked anew."""
        if self._process != os.getpid():
            raise not_open(forked=bool(self._process))
        async with self.turn:
            reused = self.client is not None
            if reused and self.way.reconnect and not repeat:
                await self._prove_open()
            try:
                return await self._put(question)
            except ConnectionLost:
                if not (reused and repeat and self.way.reconnect):
                    raise
            return await self._put(question)

    async def _put(self, question: Callable[[DlmsClient], Awaitable[T]]) -> T:
        """What goes wrong with the line is remembered for the next question."""
        client = await self._opened()
        try:
            return await question(client)
        except ConnectionLost as error:
            self._lost = error
            raise
        except (TransportError, RemoteProtocolError) as error:
            self._lost = error if self.way.reconnect else None
            raise

    async def _prove_open(self) -> None:
        """Before something that must not go out twice: an idle association may be long gone."""
        client = await self._opened()
        if client.idle > _FRESH:
            with suppress(DlmsMqttError):
                await self._put(lambda client: client.keep_alive())

    async def _opened(self) -> DlmsClient:
        """The client, with an association that is believed to stand."""
        if not self._process:
            raise not_open(forked=False)
        if self._refused is not None:
            raise self._refused.with_traceback(None)
        if self._lost is not None and not self.way.reconnect:
            raise ConnectionLost(
                f"the line to the meter was lost: {self._lost.message}",
                hint="Open the meter anew, or give reconnect=True.",
            ) from self._lost
        if self._lost is not None and self.client is not None:
            await self.client.close()
            self.client = None
        if self.client is None:
            self.client = await self._made()
        self._lost = None
        return self.client

    async def _made(self) -> DlmsClient:
        way = self.way
        if self.store is None:
            self.store = store_of(way)
        client = DlmsClient(way.settings, transport=way.transport, store=self.store, memory=self.memory)
        try:
            await client.open()
        except DlmsMqttError as error:
            if about_secrets(error):
                self._refused = error
            raise
        return client


def not_open(*, forked: bool) -> LocalProtocolError:
    """Nothing can be asked now. ``forked``: another process opened it."""
    if forked:
        return LocalProtocolError(
            "this meter was opened in another process", hint="Open one of its own in each process, after the fork."
        )
    return LocalProtocolError("the meter is not open", hint="Use it inside `async with Meter(...) as meter:`.")


def store_of(way: Way) -> Store | None:
    """Opened where it is needed: to cipher, or because it was asked for. StoreError."""
    if way.state == "auto" and not way.settings.encryption_key:
        return None
    from dlms_mqtt.client.state.state_file import MEMORY, default_path
    from dlms_mqtt.client.state.store import Store

    if way.state is None:
        return Store(MEMORY) if way.settings.encryption_key else None
    return Store(default_path() if way.state == "auto" else os.fspath(way.state))


def configured(path: Path, meter: str, reconnect: bool) -> Way:
    """The way to a meter of a bridge's configuration, or to its only one. ConfigError, ValueError."""
    from dlms_mqtt.bridge.config.load import load_config
    from dlms_mqtt.meter.presets.preset import preset_connection

    loaded = load_config(path, preset_connection, os.environ)
    name = meter or (next(iter(loaded.connections)) if len(loaded.connections) == 1 else "")
    if name not in loaded.connections:
        raise ValueError(f"meter: {path} has no meter '{meter}'; it has {', '.join(loaded.connections) or 'none'}")
    bridge = loaded.config.bridge
    named = loaded.config.meters[name].timezone or bridge.timezone
    zone = zone_named(named) if named else None
    return Way(loaded.connections[name], None, zone, bridge.state_dir / "state.sqlite", reconnect)
