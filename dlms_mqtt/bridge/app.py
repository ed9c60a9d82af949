"""The process: reads the configuration, runs a ``Bridge`` with it, reloads it, and starts anew when it must."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.bridge import Bridge, Process
from dlms_mqtt.bridge.config.load import ConfigMistakes, Loaded, Presets, load_config
from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.mqtt.client import tls_context
from dlms_mqtt.bridge.state_dir import State, locked, open_state
from dlms_mqtt.bridge.store_watch import StoreWatch
from dlms_mqtt.bridge.systemd import Notifier
from dlms_mqtt.bridge.tasks import end_all, supervised
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.transport.clock import Clock

_LOG = logging.getLogger(__name__)
_WATCH = 1.0  # s between looks at the files
_TAKEN_AGAIN = (30.0, 60.0, 120.0, 300.0)  # s between looks whether another bridge has our id still
_LAST_REPLY = 0.5  # s before a restart that was asked for over MQTT: the reply goes out first


class App:
    """Runs one ``Bridge`` after another. ``run`` returns when ``stop`` is called; ConfigError, StoreError."""

    def __init__(
        self,
        path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        presets: Presets = preset_connection,
        clock: Clock | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        clock = clock or Clock()
        started = datetime.fromtimestamp(clock.time(), UTC).isoformat()
        environment = os.environ if environment is None else environment
        self._path = path
        self._notifier = Notifier(environment)
        self._process = Process(environment, presets, clock, random, started, self._notifier, self.reload)
        self.loaded: Loaded = load_config(path, presets, environment, strict=False)
        self.bridge: Bridge | None = None  # the one at work
        self._again = self._stopped = False
        self._waits = 0  # how often in a row another bridge had our id
        self._wake = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._store_watch = StoreWatch(clock)
        self._seen: dict[Path, int] = {}  # the files as they were last loaded
        self._certificates: dict[Path, int] = {}  # as the broker's line was made with them

    @property
    def config(self) -> Config:
        """The configuration as it was last loaded."""
        return self.loaded.config

    # -- life ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End ``run``; may be called from a signal handler of the loop."""
        self._stopped = True
        self._notifier.send("STOPPING=1")
        self._end_bridge()

    def _restart(self) -> None:
        self._again = True
        self._end_bridge()

    def _end_bridge(self) -> None:
        self._wake.set()
        if self.bridge:
            self.bridge.stop()

    async def run(self) -> None:
        """Serve until ``stop``; starts anew when the broker's or the bridge's own configuration changed."""
        alive = supervised("watchdog", self._notifier.watchdog, self._process.clock)
        try:
            await self._serve()
            while self._again and not self._stopped:
                self._again = False
                await self._serve()
        finally:
            await end_all([alive])

    async def _serve(self) -> None:
        for warning in self.loaded.warnings:
            _LOG.warning("%s", warning)
        for name, mistakes in self.loaded.broken.items():
            _LOG.error("The managed meter %s is left out: %s", name, mistakes.message)
        self._certificates = _stamps_of(_tls_files(self.config))
        if self.config.mqtt.tls:
            tls_context(self.config.mqtt.tls)  # a wrong file is told at once
        with locked(self.config.bridge.state_dir, self.config.bridge.id):
            watch = self._store_watch
            state = open_state(
                self.config.bridge.state_dir, self._process.random, thorough=watch.suspect, reserved=watch.reserved
            )
            try:
                await self._run_bridge(state)
            finally:
                watch.closing(state.store)
                state.store.close()

    async def _run_bridge(self, state: State) -> None:
        self._wake.clear()
        self.bridge = bridge = Bridge(self.loaded, state, self._process)
        if self._stopped:
            return
        watchers = {"files": self._watch_files} if self.config.bridge.watch_files else {}
        watchers |= {"store": lambda: self._watch_store(state.store)}
        watching = [supervised(name, watch, self._process.clock) for name, watch in watchers.items()]
        try:
            await bridge.run()
            if not bridge.taken:
                self._waits = 0
            elif not self._stopped:
                await self._wait_for_id(bridge.taken)
        finally:
            await end_all(watching)

    async def _wait_for_id(self, taken: str) -> None:
        """Somebody else has our id: say so once, and look again now and then, as long as it takes."""
        if not self._waits:
            _LOG.error("%s. Give this bridge another bridge.id, or end the other one; it is tried again", taken)
        self._again = True
        self._notifier.send("READY=1", f"STATUS={taken}")
        pause = _TAKEN_AGAIN[min(self._waits, len(_TAKEN_AGAIN) - 1)]
        self._waits += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()

    # -- reload -------------------------------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """Read the configuration again; what changed. RequestError when it is wrong (the running one stays).

        One after the other: two at once would start a meter twice, and one of them would never end.
        """
        async with self._reloading:
            return await self._reload()

    async def _reload(self) -> list[str]:
        self._seen = self._stamps()
        try:
            self._refuse_empty()
            fresh = load_config(self._path, self._process.presets, self._process.environment, strict=False)
            self._refuse_broken(fresh)
            self._refuse_tls(fresh)
        except ConfigMistakes as error:
            _LOG.error("The configuration was not reloaded:\n%s", error.message)
            rows = [{"key": item.key, "message": item.message} for item in error.mistakes]
            raise RequestError("invalid-value", error.message, detail={"mistakes": rows}) from None
        old, self.loaded = self.loaded, fresh
        self._seen = self._stamps() if fresh.files != old.files else self._seen
        changed = await self._apply(old, fresh)
        changed += self._renew_certificates(alone=not changed)
        _LOG.info("Configuration reloaded; changed: %s", ", ".join(changed) or "nothing")
        return changed

    def _refuse_empty(self) -> None:
        """An editor or a full disk has cut the file: that is no wish to remove everything."""
        if self._path.exists() and not self._path.stat().st_size:
            raise ConfigMistakes([ConfigError("the file is empty", file=str(self._path), line=1)])

    def _refuse_broken(self, fresh: Loaded) -> None:
        """The file of a meter at work was damaged: it works on as it is. One that was damaged before stays left out."""
        if now := [mistakes for name, mistakes in fresh.broken.items() if name not in self.loaded.broken]:
            raise now[0]

    def _refuse_tls(self, fresh: Loaded) -> None:
        """Other files than before that cannot be used: the line to the broker stays as it is."""
        if fresh.config.mqtt.tls and fresh.config.mqtt.tls != self.config.mqtt.tls:
            try:
                tls_context(fresh.config.mqtt.tls)
            except ConfigError as error:
                raise ConfigMistakes([error]) from None

    def _renew_certificates(self, *, alone: bool) -> list[str]:
        """Files of the same names that were renewed: the line is made anew with them.

        RequestError when they cannot be used and ``alone`` are new; what else has changed stands.
        """
        now, tls = _stamps_of(_tls_files(self.config)), self.config.mqtt.tls
        if tls is None or now == self._certificates:
            return []
        try:
            tls_context(tls)
        except ConfigError as error:
            _LOG.error("%s; the line to the broker stays as it is", error.message)
            if alone:
                raise RequestError("invalid-value", error.message) from None
            return []
        self._certificates = now
        if self.bridge:
            self.bridge.broker.renew()
        return ["mqtt.tls"]

    async def _apply(self, old: Loaded, fresh: Loaded) -> list[str]:
        if (old.config.bridge, _unspoken(old)) != (fresh.config.bridge, _unspoken(fresh)):
            asyncio.get_running_loop().call_later(_LAST_REPLY, self._restart)
            return ["bridge"]
        if not self.bridge or self.bridge.taken:  # the next one, when our id is free, begins with it
            return []
        return await self.bridge.change_to(fresh)

    async def _watch_files(self) -> None:
        self._seen = before = self._stamps()
        while True:
            await asyncio.sleep(_WATCH)
            now = self._stamps()
            if now == before != self._seen:  # what still changes is still being written
                with contextlib.suppress(RequestError):
                    await self.reload()
            before = now

    def _stamps(self) -> dict[Path, int]:
        managed = self.config.bridge.state_dir.glob("meters/*.yaml")
        return _stamps_of({self._path, *self.loaded.files, *_tls_files(self.config), *managed})

    async def _watch_store(self, store: Store) -> None:
        """Start anew with a memory as soon as there can be one, and where damage of the one that there is was met."""
        await self._store_watch.trouble(store, self.config.bridge.state_dir)
        self._restart()


def _tls_files(config: Config) -> set[Path]:
    tls = config.mqtt.tls
    return {Path(file) for file in (tls.ca, tls.certificate, tls.key) if file} if tls else set()


def _stamps_of(files: set[Path]) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in files if file.exists()}


def _unspoken(loaded: Loaded) -> Mqtt:
    """Without the language, which is changed at work."""
    mqtt = loaded.config.mqtt
    return replace(mqtt, discovery=replace(mqtt.discovery, language=""))
