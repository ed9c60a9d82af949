"""A session written down so that it can be played again and shown to anybody: recorded, unveiled, made anonymous."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from dlms_mqtt.client.capture.anonymiser import Anonymiser
from dlms_mqtt.client.capture.document import capture_document, messages_in, names_in, proofs_in
from dlms_mqtt.client.capture.recorder import Recorder
from dlms_mqtt.client.capture.unveiler import Unveiler
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.transport.base import Transport

_TITLE = re.compile(r"\b[0-9a-f]{16}\b")


async def record_session(
    settings: ConnectionSettings,
    *,
    transport: Transport,
    clock: Callable[[], float],
    salt: bytes,
    work: Callable[[DlmsClient, dict[str, Any], list[bytes]], Awaitable[None]],
    store: Any = None,
    hide: Iterable[bytes] = (),
    failed: Callable[[DlmsMqttError], None] = lambda _error: None,
) -> dict[str, Any]:
    """Run ``work`` in a session and give the capture; an error of the meter ends the session but not the capture.

    ``work`` fills in facts, what to tell of the meter, and names, the octets that must be replaced; ``failed`` is told
    the error.
    """
    recorder = Recorder(transport, clock)
    client = DlmsClient(settings, transport=recorder, store=store)
    unveiler = Unveiler(client)
    facts: dict[str, Any] = {}
    titles = (client.ciphering.title, settings.meter_system_title or b"")
    names: list[bytes] = [*titles, settings.iec_address.encode()]
    opened = None
    try:
        async with client:
            opened = len(recorder.log)
            names.append(client.association.system_title)
            await work(client, facts, names)
    except DlmsMqttError as error:
        facts["error"] = _TITLE.sub("(a system title)", error.message)
        failed(error)
    framing = settings.link_framing
    names += names_in(recorder, framing, broken_off="error" in facts)
    proofs = proofs_in(messages_in(recorder.log[:opened], framing), unveiler.plain)
    anonymiser = Anonymiser(filter(None, names), [*map(bytes, settings.secrets), *proofs], salt, hide)
    return capture_document(recorder, settings, facts, anonymiser, unveiler.plain)
