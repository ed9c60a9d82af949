"""Sessions with a simulated meter that are kept as captures, in every way in."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.dump import dump_session
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import HLS_SECRET, KEYS, PASSWORD, SignOnOptions, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Path as LinePath

ENERGY = AttributeDescriptor(3, Obis((1, 0, 1, 8, 0, 255)), 2)


LOAD_PROFILE = Obis((1, 0, 99, 1, 0, 255))


SALT = b"a salt"


SESSIONS: dict[str, dict[str, Any]] = {
    "public": {"client": 16},
    "low": {"client": 32, "authentication": "low", "password": PASSWORD},
    "ciphered": {
        "client": 1,
        "authentication": "gmac",
        "encryption_key": KEYS.encryption,
        "authentication_key": KEYS.authentication,
    },
    "md5": {"client": 35, "authentication": "md5", "password": HLS_SECRET},
    "short names": {"client": 17, "referencing": "sn"},
    "ciphered short names": {
        "client": 1,
        "referencing": "sn",
        "authentication": "gmac",
        "encryption_key": KEYS.encryption,
        "authentication_key": KEYS.authentication,
    },
}


async def dumped(framing: str, clock: FakeClock, *, echo: bool = False, **options: Any) -> tuple[dict[str, Any], Any]:
    meter = household(7, clock=clock)
    near, far = memory_pair()
    near.echo = echo
    settings = ConnectionSettings(serial="x", framing=framing, **options)
    async with serve_memory(meter, far, framing):
        document = await dump_session(settings, transport=near, salt=SALT, objects=12)
    return document, meter


async def sign_on_dump(clock: FakeClock, *, eight_bits: bool = False, **options: Any) -> tuple[dict[str, Any], bytes]:
    """A meter whose sign-on tells its number, octet by octet as ports do; the number."""
    meter = household(7, clock=clock)
    number = meter.name[-8:]
    near, far = memory_pair(line=SerialFormat(300, 8) if eight_bits else SerialFormat(300, 7, "even"), latency=0.03)
    said = SignOnOptions(identification=Identification("ISK", "5", ("2",), f"ME371-{number}"), address=number)
    settings = ConnectionSettings(serial="x", opening="sign-on", iec_address=number, **options)
    async with serve_memory(meter, far, "hdlc", sign_on=said):
        port = LinePath(near, eight_bits=True) if eight_bits else near
        return await dump_session(settings, transport=port, salt=SALT, objects=12), number.encode()
