"""A broker tried out: one connection, nothing published; and why it failed, in words."""

from __future__ import annotations

import secrets

import aiomqtt

from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.client import Client, Will, new_client, tls_context, versions_of
from dlms_mqtt.bridge.tasks import raise_cancelled


async def try_broker(config: Mqtt) -> str:
    """Connect once; "" when the broker takes us, else why not. ConfigError: the files of TLS cannot be used."""
    why = ""
    for version in versions_of(config):
        client = _client(config, version)
        try:
            async with client:
                return ""
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise_cancelled()
            why = why or client.why(error)
            if not client.may_be_the_version(error):
                break
        finally:
            client.ask()
    return why


def _client(config: Mqtt, version: aiomqtt.ProtocolVersion) -> Client:
    """Under an id of its own, as the bridge may be connected; its will says nothing."""
    identifier, will = f"dlms-mqtt-trial-{secrets.token_hex(4)}", Will(f"{config.base_topic}/trial", "")
    return new_client(config, version, identifier, will, tls_context(config.tls) if config.tls else None, {})
