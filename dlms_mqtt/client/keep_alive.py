"""Keeps an idle association alive: meters end one that is silent for their inactivity time (often two minutes)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.errors import DlmsMqttError, MeterRefused

log = logging.getLogger("dlms_mqtt.client")

DEFAULT_INTERVAL = 40.0


class KeepAlive:
    """Asks for something small whenever nobody else has for ``interval`` seconds; nothing while there is traffic.

    ``turn`` is what every user of the client holds while asking. A lost line ends the task quietly: the next question
    finds out and says so.
    """

    def __init__(
        self, client: DlmsClient, turn: AbstractAsyncContextManager[object], interval: float = DEFAULT_INTERVAL
    ) -> None:
        self._client = client
        self._turn = turn
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> KeepAlive:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(max(self._interval - self._client.idle, 0.0))
            if self._client.idle < self._interval:
                continue
            try:
                async with self._turn:
                    await self._client.keep_alive()
            except MeterRefused as error:  # an answer all the same
                log.debug("keep-alive: %s", error)
            except DlmsMqttError as error:
                log.debug("keep-alive ended: %s", error)
                return
