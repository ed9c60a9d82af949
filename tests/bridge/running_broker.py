"""The line to a broker as a task, with somebody who keeps what it hears."""

from __future__ import annotations

import asyncio
import contextlib
import json

from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.broker import Broker
from dlms_mqtt.bridge.mqtt.client import Will
from dlms_mqtt.bridge.mqtt.outbox import Outbox
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.client.state.store import Store
from tests.bridge.conftest import PATIENCE

WILL = Will("base/bridge/main/state", "offline")


class Handler:
    def __init__(self):
        self.messages, self.connections = [], 0

    async def broker_connected(self):
        self.connections += 1

    def broker_message(self, message):
        self.messages.append(message)


@contextlib.asynccontextmanager
async def at_work(port, outbox=None, first="", **config):
    with Store(":memory:") as store:
        handler = Handler()
        outbox = outbox or Outbox(store, 1000)
        broker = Broker(Mqtt(host="127.0.0.1", port=port, **config), "test", WILL, outbox, first)
        task = asyncio.create_task(broker.run(handler))
        broker.handler, broker.outbox, broker.task = handler, outbox, task
        try:
            yield broker
        finally:
            await end_all([task])


async def until(condition, seconds=PATIENCE):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def put(outbox, *values):
    for value in values:
        outbox.put("base/reading", lambda seq, value=value: json.dumps({"seq": seq, "value": value}))
