"""Our own simulated meter at the far end of a line in memory, with faults, and a record of what it was asked."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import TransportError
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import HLS_SECRET, KEYS, KEYS_256, PASSWORD, Dropped, Faults, Meter, MeterServer, make_link
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.serial import serve_once
from dlms_mqtt.transport.memory import MemoryTransport
from tests.client.fresh_line import FreshLine
from tests.fake_clock import FakeClock, FakeLoop

TITLE = b"TST\x00\x00\x00\x00\x07"
CIPHERED = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption,
    "authentication_key": KEYS.authentication,
    "system_title": TITLE,
    "invocation_counter": 1,
}
# Client numbers of the household meter (dlms_mqtt/simulator/household/clients.py) and how each gets in.
WAYS: dict[str, dict[str, Any]] = {
    "public": {"client": 16},
    "low": {"client": 32, "authentication": "low", "password": PASSWORD},
    "hls": {"client": 34, "authentication": "hls", "password": HLS_SECRET, "hls_algorithm": "aes"},
    "coded": {"client": 48, "authentication": "hls", "password": Secret(b"00000000"), "hls_algorithm": "landis-gyr"},
    "md5": {"client": 35, "authentication": "md5", "password": HLS_SECRET},
    "sha1": {"client": 36, "authentication": "sha1", "password": HLS_SECRET},
    "sha256": {"client": 38, "authentication": "sha256", "password": HLS_SECRET, "system_title": TITLE},
    "gmac": CIPHERED | {"client": 37, "security": "none"},
    "none, encrypted": CIPHERED | {"client": 39, "authentication": "none", "security": "both"},
    "low, authenticated": CIPHERED
    | {"client": 40, "authentication": "low", "password": PASSWORD, "security": "authentication"},
    "gmac, ciphered": CIPHERED,
    "gmac, suite 1": CIPHERED | {"client": 41, "suite": 1},
    "gmac, suite 2": CIPHERED
    | {
        "client": 42,
        "suite": 2,
        "encryption_key": KEYS_256.encryption,
        "authentication_key": KEYS_256.authentication,
    },
    "sha256, ciphered": CIPHERED | {"client": 43, "authentication": "sha256", "password": HLS_SECRET},
    "pre-established": {"client": 18, "pre_established": True},
}


class OurMeter:
    """A household meter on a line without speed; its clock is the event loop's."""

    def __init__(self, *faults: str, framing: str = "hdlc", datagram: bool = False) -> None:
        self.faults = Faults()
        self.framing = framing
        self.line = FreshLine(self._serve, datagram=datagram)
        for fault in faults:
            self.faults.add(fault)

    async def __aenter__(self) -> Self:
        self.meter = self.make_meter()
        return self

    def make_meter(self) -> Meter:
        loop = asyncio.get_running_loop()
        return household(clock=loop.clock if isinstance(loop, FakeLoop) else FakeClock(), faults=self.faults)

    async def __aexit__(self, *_: object) -> None:
        await self.line.close()

    async def _serve(self, far: MemoryTransport) -> None:
        session = MeterServer(
            self.meter, make_link(self.framing, self.meter, self.faults, datagram=far.datagram), self.faults
        )
        try:
            while True:
                await serve_once(session, far)
        except Dropped:
            await far.close()
        except TransportError:
            pass
        finally:
            session.close()

    def settings(self, **options: Any) -> ConnectionSettings:
        return ConnectionSettings(tcp=("192.0.2.1", 4059), framing=self.framing, **{"max_info": 128, **options})

    def client(self, store: Any = None, **options: Any) -> DlmsClient:
        return DlmsClient(self.settings(**options), transport=self.line, store=store)

    def times(self, octets: bytes) -> int:
        """How often these octets went to the meter."""
        return b"".join(self.line.sent).count(octets)


def wrong(secret: Secret) -> Secret:
    """A secret that is as long, and another."""
    return Secret(bytes(octet ^ 0x01 for octet in secret))
