"""A talk with settings that may not be in force, and what its failure says: silence may be a matter of the address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from dlms_mqtt.bridge.meters.fleet import Fleet
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.client.association.ciphering import public_settings
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DlmsMqttError, MeterRefused, ResponseTimeout

T = TypeVar("T")
MANAGEMENT_DEVICE = 1  # the logical device that every meter has
_OPEN_TO_DOUBT = ("", "echo")  # silence that nobody has explained yet


async def try_out(
    fleet: Fleet, name: str, settings: ConnectionSettings, work: Callable[[DlmsClient], Awaitable[T]]
) -> T:
    """One conversation; a refused password counts as everywhere. DlmsMqttError."""
    let_in = False

    async def noted(client: DlmsClient) -> T:
        nonlocal let_in
        let_in = True
        return await work(client)

    try:
        return await _talk(fleet, name, settings, noted)
    except ResponseTimeout as error:
        doubtful = error.reason in _OPEN_TO_DOUBT and not let_in
        if doubtful and (better := await _explained(fleet, name, settings)):
            raise better from error
        raise


async def _explained(fleet: Fleet, name: str, settings: ConnectionSettings) -> ResponseTimeout | None:
    """What the silence means, if the public client, who needs no secret, is answered on the same line."""
    public = public_settings(settings)
    if public != settings and await _answers(fleet, name, public):
        return ResponseTimeout(  # some meters say nothing to a wrong key either
            f"a meter on {settings.line} answers the public client, but not client {settings.client}",
            reason="wrong-client",
            hint="Check the client address, the password and the keys.",
        )
    if settings.server != MANAGEMENT_DEVICE and await _answers(fleet, name, replace(public, server=MANAGEMENT_DEVICE)):
        return ResponseTimeout(
            f"a meter on {settings.line} answers at server address {MANAGEMENT_DEVICE}, but not at {settings.server}",
            reason="wrong-address",
            hint="Check the server address.",
        )
    return None


async def _talk(fleet: Fleet, name: str, settings: ConnectionSettings, work: Callable[[DlmsClient], Awaitable[T]]) -> T:
    session = fleet.new_session(f"{name} (trial)", settings)
    try:
        return await session.run(Priority.COMMAND, work, keep=False)
    finally:
        await session.close()


async def _answers(fleet: Fleet, name: str, settings: ConnectionSettings) -> bool:
    try:
        await _talk(fleet, f"{name} public", replace(settings, retries=min(settings.retries, 1)), _nothing)
    except MeterRefused:
        return True
    except DlmsMqttError:
        return False
    return True


async def _nothing(_client: DlmsClient) -> None:
    """That the association stood is the answer."""
