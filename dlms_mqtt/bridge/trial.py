"""A talk with settings that may not be in force, and what its failure says: silence may be a matter of the address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from dlms_mqtt.bridge.fleet import Fleet
from dlms_mqtt.bridge.line import Priority
from dlms_mqtt.client.ciphering import PUBLIC_CLIENT, public_settings
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
    try:
        return await _talk(fleet, name, settings, work)
    except ResponseTimeout as error:
        if error.reason not in _OPEN_TO_DOUBT or not await _answers_as_public(fleet, name, settings):
            raise
        raise ResponseTimeout(
            f"a meter answers on {settings.line}, but not at these addresses",
            received=error.received,
            reason="wrong-address",
            hint=f"As client {PUBLIC_CLIENT} at server address {MANAGEMENT_DEVICE} it answers: check both addresses.",
        ) from error


async def _talk(fleet: Fleet, name: str, settings: ConnectionSettings, work: Callable[[DlmsClient], Awaitable[T]]) -> T:
    session = fleet.new_session(f"{name} (trial)", settings)
    try:
        return await session.run(Priority.COMMAND, work, keep=False)
    finally:
        await session.close()


async def _answers_as_public(fleet: Fleet, name: str, settings: ConnectionSettings) -> bool:
    """Does the line carry a meter at all? Asked without any secret at the address that every meter has."""
    common = replace(public_settings(settings), server=MANAGEMENT_DEVICE, retries=min(settings.retries, 1))
    if (common.client, common.server) == (settings.client, settings.server):
        return False
    try:
        await _talk(fleet, f"{name} address", common, _nothing)
    except MeterRefused:
        return True
    except DlmsMqttError:
        return False
    return True


async def _nothing(_client: DlmsClient) -> None:
    """That the association stood is the answer."""
