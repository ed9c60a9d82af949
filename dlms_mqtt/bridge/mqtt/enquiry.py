"""The broker asked once from outside, for whoever wants to know what it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiomqtt

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.client import Client, message_of, new_client, tls_context, versions_of
from dlms_mqtt.bridge.mqtt.silence import Silence
from dlms_mqtt.bridge.tasks import raise_cancelled
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.transport.base import format_address

T = TypeVar("T")


async def enquire(config: Mqtt, timeout: float, work: Callable[[Client], Awaitable[T]]) -> T:
    """What ``work`` finds out on a line to the broker, within ``timeout`` seconds; ConfigError, ConnectFailed."""
    tls = tls_context(config.tls) if config.tls else None
    why = ""
    for version in versions_of(config):
        client = new_client(config, version, "", None, tls, {})
        try:
            async with asyncio.timeout(timeout), client:
                return await work(client)
        except (aiomqtt.MqttError, OSError, TimeoutError, ValueError) as error:
            raise_cancelled()
            why = client.why(error)
        finally:
            client.ask()
    raise ConnectFailed(
        f"the broker {format_address(config.host, config.broker_port)} cannot be asked: {why}",
        hint="Check mqtt: in the configuration, or give --url.",
    )


async def kept(client: Client, filters: list[str], silence: float) -> AsyncIterator[Message]:
    """What the broker keeps below these filters, each topic once. MqttError where the line breaks.

    ``silence`` seconds without a topic that is new are the end.
    """
    await client.subscribe_to(filters)
    messages, quiet = aiter(client.messages), Silence(silence)
    while True:
        try:
            async with asyncio.timeout_at(quiet.ends):
                message = message_of(await anext(messages))
        except TimeoutError:
            return
        if message.retained and message.payload and quiet.is_news(message.topic):
            yield message
