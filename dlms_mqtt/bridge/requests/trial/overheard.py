"""Who speaks on a line or port by itself: framing, speed, ciphering and family, before anything is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from dlms_mqtt.bridge.config.sections.meter import Match
from dlms_mqtt.bridge.config.speaking import OWN_LINE
from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.pushes.receiver import Receiver
from dlms_mqtt.bridge.requests.trial.first_telegrams import ROUND, Progress, Trial, Wait, listening, named
from dlms_mqtt.client.push import PushOpener, PushSource, Refused
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.finder.plan import LISTENING
from dlms_mqtt.meter.presets.preset import matching
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.protocol.apdu import split_apdus
from dlms_mqtt.protocol.apdu.general import PLAIN_TAGS
from dlms_mqtt.protocol.framing.stream.decoder import Message, StreamDecoder

_TITLED = (0xDB, 0xDC)  # general-glo and general-ded ciphering: a system title follows
_TITLE = 8  # octets


class _Overheard(Receiver):
    """Telegrams of a line of which nothing is known, open or ciphered."""

    def __init__(self, wait: Wait) -> None:
        self._wait, self._stream = wait, StreamDecoder()
        self.messages: list[Message] = []
        self.octets = 0

    def receive(self, origin: str, data: bytes, whole: bool) -> list[Refused]:
        """Octets of the line."""
        self.octets += len(data)
        events = self._stream.feed(data, asyncio.get_running_loop().time(), whole=whole)
        for message in (event for event in events if isinstance(event, Message)):
            self.messages.append(message)
            self._wait.received(f"telegram {len(self.messages)}")
            self._wait.end()
        return []


async def who_speaks(
    fleet: Fleet, settings: ConnectionSettings, listen: str, seconds: float, progress: Progress
) -> dict[str, Any]:
    """Listen on a port, or on a line at the speeds of customer interfaces; the shape of ``meter/find``'s reply."""
    wait, receiver = Wait(seconds, progress), None
    for form in _forms(settings, listen):
        receiver = _Overheard(wait)
        trial = Trial("search", listen, Match(), replace(settings, **form), {}, UTC)
        ends = wait.left - ROUND if form else 0.0
        async with listening(fleet, trial, receiver, wait):
            while wait.left > max(ends, 0.0):
                await wait.tick()
        if receiver.messages:
            return _found(settings, form, receiver.messages[0])
    octets = receiver.octets if receiver else 0
    return {"found": False, "connection": {}, "diagnosis": "", "names": ["garbled" if octets else "no-telegram"]}


def _forms(settings: ConnectionSettings, listen: str) -> list[dict[str, Any]]:
    """Speeds to try; one empty row where there is no speed to choose."""
    serial = settings.serial or ""
    if listen != OWN_LINE or not serial or settings.baud or serial.startswith("socket://"):
        return [{}]
    return [{"baud": speed.baud, "parity": speed.parity} for speed, _, _ in LISTENING] * 3


def _found(settings: ConnectionSettings, form: Mapping[str, Any], message: Message) -> dict[str, Any]:
    apdu = message.apdu
    ciphered = apdu[0] in (*_TITLED, *PLAIN_TAGS)
    title = apdu[2 : 2 + _TITLE] if apdu[0] in _TITLED and apdu[1] == _TITLE else b""
    learned: dict[str, Any] = {"framing": message.framing, "ciphered": ciphered}
    names = matching(system_title=title) if title else []
    if not ciphered:
        names += _of_list(message)
    return {
        "found": True,
        "connection": dict(form),
        "diagnosis": "",
        "names": [],
        "learned": {**learned, "presets": names, **named(title.hex(), "", "")},
    }


def _of_list(message: Message) -> list[str]:
    try:
        (part,) = split_apdus(message.apdu)[:1]
        push = PushOpener([PushSource()]).open(part, "", message)
        name = PushedValues(push.notification).list_name if push else ""
    except DlmsMqttError:
        return []
    return matching(list_name=name) if name else []
