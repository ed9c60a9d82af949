"""A meter on the network: TCP and UDP, many at once, faults of one connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import (
    ConnectionLost,
    ResponseTimeout,
)
from dlms_mqtt.simulator import (
    PASSWORD,
    Faults,
    serve_tcp,
    serve_udp,
)
from dlms_mqtt.simulator.household.household import household
from tests.fake_clock import FakeClock
from tests.simulator.connected import (
    ENERGY,
    GMAC,
    OPEN,
)

READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}


async def energy(**options: Any) -> int:
    async with DlmsClient(ConnectionSettings(**READER, **options)) as client:
        return int((await client.get(ENERGY)).value)


async def test_udp_with_lost_datagrams() -> None:
    from dlms_mqtt.simulator import Faults

    meter = household(clock=FakeClock())
    async with serve_udp(meter, faults=Faults(["lost,after=1"])) as address:
        assert await energy(udp=address, timeout=1.0) > 1_000_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("deaf,after=2", ResponseTimeout),
        ("drop,after=2", ConnectionLost),
        ("restart,after=2", ConnectionLost),
        ("echo", None),
        ("noise:9", None),
        ("trickle:0.0001", None),
        ("delay:0.001", None),
    ],
)
async def test_faults_on_tcp(fault: str, kind: type[Exception] | None) -> None:
    trouble = Faults([fault])
    meter = household(clock=FakeClock(), faults=trouble)
    async with serve_tcp(meter, faults=trouble) as server:
        chosen = ConnectionSettings(
            tcp=("127.0.0.1", server.port), timeout=2.0 if kind is ResponseTimeout else 20.0, **READER
        )
        async with DlmsClient(chosen) as client:
            if kind is None:
                assert (await client.get(ENERGY)).value > 0
                return
            with pytest.raises(kind):
                for _ in range(4):
                    await client.get(ENERGY)


async def test_two_hundred_associations_on_tcp() -> None:
    meter = household(clock=FakeClock())
    async with serve_tcp(meter) as server:

        async def one(number: int) -> Any:
            options = (
                GMAC | {"invocation_counter": 1, "system_title": number.to_bytes(8, "big")} if number % 4 == 0 else OPEN
            )
            settings = ConnectionSettings(tcp=("127.0.0.1", server.port), timeout=300.0, **options)
            async with DlmsClient(settings) as client:
                await together.wait()
                return (await client.get(ENERGY)).value

        together = asyncio.Barrier(200)
        values = await asyncio.gather(*map(one, range(200)))
        assert len(set(values)) == 1
        async with asyncio.timeout(300):
            while server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
