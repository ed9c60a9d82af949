"""Meters that speak by themselves: which are only listened to, and what a preset of such a family means for a meter."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from dlms_mqtt.bridge.config.sections.meter import Meter, Push, Read
from dlms_mqtt.client.settings import LINES

OWN_LINE = "connection"
#: What a connection may say of a line that is only listened to; anything else is there to ask a meter.
_OF_LISTENING = {
    *LINES,
    "baud",
    "parity",
    "dtr",
    "rts",
    "echo",
    "timeout",
    "security",
    "accept_unauthenticated",
    "meter_system_title",
    "authentication_key",
    "encryption_key",
    "broadcast_key",
}


def only_speaks(meter: Meter) -> bool:
    """Is its line only listened to: ``listen: connection`` without ``ask``, and neither a set nor profiles to read?

    ``read.also`` describes what is pushed (name, unit, scaler, transform) and asks nothing.
    """
    return meter.push is not None and meter.push.listen == OWN_LINE and not _asks(meter)


def polls(meter: Meter, line: str) -> bool:
    """Is this meter asked at all, or does it only push? ``line`` is its own; empty when it has none."""
    read = meter.read
    wanted = read.set != "none" or bool(read.also) or bool(meter.profiles)
    return bool(line) and wanted and not only_speaks(meter)


def listening(meter: Meter) -> Meter:
    """The meter of a family that only speaks: listened to on its own line, unless something is there to ask it."""
    push = meter.push or Push()
    line = any(meter.connection.get(name) for name in LINES)
    if push.listen or not line or _asks(meter) or _addressed(meter):
        return meter
    return replace(meter, push=replace(push, listen=OWN_LINE))


def bind_of_caller(meter: Meter) -> dict[str, str]:
    """The line of a meter that connects by itself and is asked there; nothing where it has a line of its own."""
    push = meter.push
    calls = push is not None and push.ask and push.listen != OWN_LINE
    return {"bind": push.listen} if push and calls and not any(meter.connection.get(name) for name in LINES) else {}


def _asks(meter: Meter) -> bool:
    read = replace(meter.read, also=())
    return (
        (meter.push is not None and meter.push.ask) or (read != Read() and read.set != "none") or bool(meter.profiles)
    )


def _addressed(meter: Meter) -> bool:
    """Does the configuration say how, or for what, the meter is to be asked?"""
    writable = any(item.writable for item in meter.read.also)
    needs = chain(meter.actions, meter.allow, meter.connection.keys() - _OF_LISTENING)
    return writable or meter.clock.sync or any(needs)
