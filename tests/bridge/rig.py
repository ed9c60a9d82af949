"""A meter at work in memory, and what it publishes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import unittest.mock
from zoneinfo import ZoneInfo

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.bridge.config.sections.bridge import Discovery
from dlms_mqtt.bridge.meters import poller
from dlms_mqtt.bridge.meters.association import Session
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.meters.output.publisher import MeterOutput
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.shared_line import Line
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.simulator import Faults, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair

VIENNA = ZoneInfo("Europe/Vienna")


class Publisher:
    def __init__(self):
        self.retained, self.messages, self.history = {}, [], []

    def retain(self, topic, payload, lifetime=None):
        self.retained[topic.removeprefix("dlms_mqtt/meter/h/")] = payload
        self.history.append((topic.removeprefix("dlms_mqtt/meter/h/"), payload))

    def store_and_forward(self, topic, message):
        self.messages.append((topic.removeprefix("dlms_mqtt/meter/h/"), json.loads(dumps(message))))

    async def room(self):
        self.waits = getattr(self, "waits", 0) + 1

    def keep(self):
        pass


class Rig:
    def __init__(self, clock, store, config, faults=None, **line):
        self.clock, self.faults = clock, faults or Faults()
        self.simulated = household(1, clock=clock)
        self.publisher = Publisher()
        meter, settings = parse_meter(
            "h", {"connection": {"tcp": "memory", "client": 17, "retries": 0}, **config}, lambda name: {}
        )
        context = Context(Topics("dlms_mqtt", "main"), Discovery(), self.publisher, store, clock, "1")
        self.output = MeterOutput("h", meter, context, ("poll",))
        self.memory, self.stack, self.line = Memory(), contextlib.AsyncExitStack(), line
        self.connections = 0
        self.dead = False
        session = Session("h", settings, Line("memory"), self.new_client, store, clock, meter.attempts)
        self.neighbours = {}
        self.task = MeterTask(
            meter, session, self.output, store, clock, VIENNA, neighbours=lambda name: self.neighbours.get(name)
        )

    def new_client(self, settings):
        self.connections += 1
        near, far = memory_pair(**self.line)
        if not self.dead:
            server = serve_memory(self.simulated, far, "wrapper", faults=self.faults)
            self.starting = asyncio.ensure_future(self.stack.enter_async_context(server))
        return DlmsClient(settings, transport=near, memory=self.memory, random=bytes)

    @contextlib.asynccontextmanager
    async def run(self):
        """Its turns fall on whole intervals; how meters are spread over them is tested by the schedule."""
        with unittest.mock.patch.object(poller, "phase", lambda *_: 0.0):
            async with self._run():
                yield self

    @contextlib.asynccontextmanager
    async def _run(self):
        running = asyncio.create_task(self.task.run())
        expiring = asyncio.create_task(self.expire())
        try:
            yield self
        finally:
            problem = running.exception() if running.done() else None
            for task in (running, expiring):
                task.cancel()
            await asyncio.gather(running, expiring, return_exceptions=True)
            await self.task.close()
            await self.stack.aclose()
            assert problem is None, problem

    async def expire(self):
        while True:
            await asyncio.sleep(1)
            self.output.expire()

    @property
    def readings(self):
        return [message for topic, message in self.publisher.messages if topic == "reading"]
