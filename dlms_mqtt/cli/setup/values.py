"""What the meter says now, before anything is written: asked once, or listened to until something comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.once import Once, read_once
from dlms_mqtt.bridge.meters.pushes.receiver import keys_of
from dlms_mqtt.cli.output import say, table
from dlms_mqtt.cli.print_values import shown
from dlms_mqtt.cli.setup import words
from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.cli.setup.search import Draft, NotFound, Search
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.push import Push, PushReaders, PushSource
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ResponseTimeout, SecurityError
from dlms_mqtt.meter.local_zone import zone_of
from dlms_mqtt.meter.presets.preset import preset_connection, preset_scalers
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport import transport_for

_TICK = 1.0  # s between looks at messages that may never be completed


def show_values(talk: Conversation, search: Search, draft: Draft, section: Mapping[str, Any], patience: float) -> bool:
    """The values on the terminal; whether there are any. DlmsMqttError."""
    meter, settings = parse_meter("meter", dict(section), preset_connection)
    zone = zone_of((meter.timezone,), os.environ)
    if draft.speaks:
        return _show_pushes(talk, search, draft, patience, zone)
    talk.say(words.READING)
    once = asyncio.run(_read_once(meter, settings, search.state, zone))
    _print(once.readings)
    if once.refused:
        talk.say(words.NOT_READ, what=", ".join(once.refused))
    if not once.readings:
        talk.say(words.NO_VALUES)
    return bool(once.readings)


async def _read_once(meter: Meter, settings: ConnectionSettings, state: Path, zone: tzinfo) -> Once:
    with Store(state) as store:
        async with DlmsClient(settings, store=store) as client:
            return await read_once(meter, client, store, zone)


def _show_pushes(talk: Conversation, search: Search, draft: Draft, patience: float, zone: tzinfo) -> bool:
    """Until something comes that can be understood; a key that is missing or wrong is asked for."""
    while True:
        talk.say(words.LISTENING, seconds=f"{patience:g}")
        _, settings = parse_meter("meter", draft.section(), preset_connection)
        try:
            readings = asyncio.run(_first_readings(settings, draft.preset, patience, zone))
        except SecurityError as error:
            talk.say(words.ENCIPHERED, why=error.message)
            if search.ask_push_key(draft):
                continue
            raise NotFound(talk.text(words.NOTHING_WRITTEN), hint="Give --encryption-key.") from error
        _print(readings)
        if not readings:
            talk.say(words.NO_PUSH, seconds=f"{patience:g}")
        return bool(readings)


async def _first_readings(settings: ConnectionSettings, preset: str, patience: float, zone: tzinfo) -> list[Reading]:
    """The first message with values; [] when none came in time. SecurityError: it cannot be opened."""
    source = PushSource(keys=keys_of(settings), accept_unauthenticated=settings.accept_unauthenticated)
    readers, loop = PushReaders([source]), asyncio.get_running_loop()
    scalers: dict[AttributeDescriptor | Obis, ScalerUnit] = dict(preset_scalers(preset).items())
    with suppress(TimeoutError):
        async with asyncio.timeout(patience), transport_for(settings) as transport:
            while True:
                try:
                    data = await transport.read(_TICK)
                    events = readers.feed(transport.name, data, loop.time(), whole=transport.datagram)
                except ResponseTimeout:
                    events = readers.tick(loop.time())
                for event in events:
                    if isinstance(event, Push):
                        found = PushedValues(event.notification).readings(datetime.now(zone), zone, scalers=scalers)
                        if found:
                            return found
                    elif isinstance(event.error, SecurityError):
                        raise event.error
    return []


def _print(readings: Sequence[Reading]) -> None:
    rows = [(reading.key, shown(reading.value), reading.unit) for reading in readings]
    if rows:
        say(table(rows, ("KEY", "VALUE", "UNIT"), right=(1,)))
