"""The broker of a conversation: tried at once, and asked for again while it does not take us."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from dlms_mqtt.bridge.config.broker_address import broker_of
from dlms_mqtt.bridge.config.rows import section
from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.bridge.mqtt.trial import try_broker
from dlms_mqtt.cli.setup import words
from dlms_mqtt.cli.setup.conversation import Conversation, parse_with
from dlms_mqtt.cli.setup.search import NotFound
from dlms_mqtt.client.option_values import SECRET_KINDS
from dlms_mqtt.transport.base import format_address

_CREDENTIALS = "user name or password"  # what a broker refuses that wants others
_CERTIFICATE = "certificate"
_MQTT = section(Mqtt)


def known_broker(talk: Conversation, mqtt: Mqtt) -> None:
    """The broker of the configuration that is there; it may be down for a while. NotFound."""
    if _tried(talk, mqtt) and not talk.confirm(words.BROKER_ANYWAY, default=True, unattended=False):
        raise NotFound(talk.text(words.NOTHING_WRITTEN), hint="Check mqtt: in the configuration.")


def ask_broker(talk: Conversation, args: argparse.Namespace) -> dict[str, Any]:
    """The ``mqtt`` section of a broker that takes us, as it will be written; the password as it is. NotFound."""
    found = _address(talk, args.broker)
    found |= {"username": args.broker_user} if args.broker_user else {}
    found |= {"password": args.broker_password} if args.broker_password else {}
    if args.broker_ca:
        found["tls"] = {**found.get("tls", {}), "ca": args.broker_ca}
    while why := _why_not(talk, found):
        if not talk.asks:
            raise NotFound(talk.text(words.NOTHING_WRITTEN), hint="Check --broker, --broker-user, --broker-password.")
        if _CREDENTIALS in why:
            found |= _credentials(talk)
        elif _CERTIFICATE in why and "tls" in found:
            found["tls"] = {"ca": talk.ask(words.BROKER_CA, "--broker-ca")}
        else:
            found = _address(talk, None) | {key: found[key] for key in ("username", "password") if key in found}
    return found


def _address(talk: Conversation, given: str | None) -> dict[str, Any]:
    return dict(
        talk.ask(words.BROKER, "--broker", given, "localhost", parse_with(lambda text: broker_of({"host": text})))
    )


def _credentials(talk: Conversation) -> dict[str, str]:
    user = talk.ask(words.BROKER_USER, "--broker-user")
    password = talk.ask_secret(words.BROKER_PASSWORD)
    known = password.partition(":")[0] in SECRET_KINDS
    return {"username": user, "password": password if known else f"text:{password}"}


def _why_not(talk: Conversation, found: dict[str, Any]) -> str:
    """The same of options; ConfigError where they make no sense."""
    return _tried(talk, parse_with(_MQTT.convert)(found))  # type: ignore[arg-type]


def _tried(talk: Conversation, mqtt: Mqtt) -> str:
    """Connected once, and told how it went; "" when the broker takes us."""
    place = format_address(mqtt.host, mqtt.broker_port)
    why = asyncio.run(try_broker(mqtt))
    if why:
        talk.say(words.BROKER_FAILED, place=place, why=why.rstrip("."))
    else:
        talk.say(words.BROKER_TRIED, place=place)
    return why
