"""What a meter tells of itself once it has let us in: numbers, devices, clients, long frames, energy."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import AccessRefused, FramingError
from dlms_mqtt.meter.finder import Found, Limits, find, learning
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Faults, make, serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.objects import PUBLIC
from dlms_mqtt.transport.clock import Clock
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import PASSWORD, Bench, on_line, public, reader

PATIENT = Limits(seconds=1200, go_on=True)


async def found_on(bench: Bench, clock: Clock, *, given: dict[str, Any] | None = None, **options: Any) -> Found:
    path = options.pop("path", {})
    options.setdefault("limits", PATIENT)
    async with on_line(bench, clock, **path) as (open_line, _):
        return await find({"serial": "bench", **(given or {})}, open_line=open_line, **options)


QUICK = Limits(seconds=150, patience=20)


async def search(bench: Bench, clock: FakeClock, limits: Limits = QUICK, **options: Any) -> Found:
    path, given = options.pop("path", {}), options.pop("given", {})
    async with on_line(bench, clock, **path) as (open_line, near):
        near.peer.fault = options.pop("shape", None)
        return await find({"serial": "bench", **given}, open_line=open_line, limits=limits)


async def test_12_long_frames_only(clock: FakeClock) -> None:
    found = await search(Bench(breaks_frames_over=100), clock)
    assert found.complete
    assert found.connection["max_info"] == 64
    assert "long-frames" in found.names


async def test_17_a_release_without_answer() -> None:
    async with serve_tcp(household(faults=Faults(["refuse-release:silence"]))) as server:
        found = await find({"tcp": f"127.0.0.1:{server.port}", "timeout": 2}, limits=Limits(seconds=60, clients=0))
    assert found.complete
    assert found.connection["no_release"] is True
    assert "release" in found.names


async def test_17_a_slow_meter_is_no_meter_without_release(clock: FakeClock) -> None:
    found = await search(Bench(faults=("trickle:0.02",)), clock)
    assert found.complete
    assert "slow" in found.names
    assert "release" not in found.names


async def test_22_logical_devices(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Bench.meter
    row = Data(DataType.STRUCTURE, (Data(DataType.LONG_UNSIGNED, 2), Data(DataType.OCTET_STRING, b"GAS")))

    def with_devices(self: Bench, clock: Any) -> Any:
        meter = plain(self, clock)
        meter.add(make(17, "0.0.41.0.0.255", Data(DataType.ARRAY, (row,)), see=PUBLIC))
        return meter

    monkeypatch.setattr(Bench, "meter", with_devices)
    found = await search(Bench(), clock)
    assert found.learned["logical_devices"] == [{"server": 2, "name": "GAS"}]
    assert "logical-devices" in found.names


async def test_a_meter_that_lets_in_and_tells_nothing(clock: FakeClock) -> None:
    """An exception to every question is an answer all the same: the connection is found."""
    clients = (public(faults=Faults(["exception,times=1000"])),)
    found = await search(Bench(clients=clients), clock)
    assert found.complete, found
    assert "logical_device_name" not in found.learned


async def test_the_clients_of_a_remembered_meter_are_known_without_asking(clock: FakeClock) -> None:
    bench = Bench(opening="sign-on")
    with Store() as store:
        async with on_line(bench, clock) as (open_line, _):
            first = await find({"serial": "bench"}, open_line=open_line, store=store)
            second = await find({"serial": "bench"}, open_line=open_line, store=store)
    assert "client 32 asks for a password" in first.diagnosis and "client 32 asks for a password" in second.diagnosis
    assert {"client": 32, "access": "password"} in second.learned["clients"]
    assert second.seconds < 8


async def test_a_client_that_is_shown_no_energy_is_told(clock: FakeClock) -> None:
    found = await found_on(Bench(clients=(public(), reader(32, PASSWORD))), clock)
    assert found.complete and found.connection["client"] == 16
    assert "no-energy" in found.names and found.learned["energy"] is False
    assert "Client 16 shows" in found.diagnosis and "no energy; client 32 asks for a password" in found.diagnosis
    known = {"client": 32, "authentication": "low", "password": f"text:{PASSWORD.decode()}"}
    with_password = await found_on(Bench(clients=(public(), reader(32, PASSWORD))), clock, given=known)
    assert with_password.learned.get("energy") is not False and "no-energy" not in with_password.names


REFUSED = AccessRefused("read-write-denied", code=3, name="read-write-denied")


class Client:
    """An open association as far as learning sees it; ``answer`` to each question, or what it raises."""

    def __init__(
        self, answer: Any, baud: int | None = None, physical: int | None = None, referencing: str = "ln"
    ) -> None:
        self.settings = SimpleNamespace(
            referencing=referencing, association=Obis((0, 0, 40, 0, 0, 255)), physical=physical
        )
        self.transport = SimpleNamespace(format=SimpleNamespace(baud=baud) if baud else None)
        self.statistics: Any = SimpleNamespace(frames=0)
        self.answer = answer

    async def get_raw(self, _: AttributeDescriptor) -> bytes:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.statistics.frames += 1
        return await self.answer() if callable(self.answer) else self.answer

    async def get_many(self, questions: list[AttributeDescriptor]) -> list[Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return (self.answer + [REFUSED] * len(questions))[: len(questions)]


async def _never() -> bytes:
    await asyncio.sleep(3600)
    return b""


@pytest.mark.parametrize(
    ("client", "learned"),
    [
        (Client(b"", baud=300), {}),  # a long list would take minutes
        (Client(REFUSED), {}),
        (Client(FramingError("a frame is damaged")), {"long_frames": False}),
        (Client(_never), {"long_frames": True}),  # what came in time was whole
        (Client(b"\x09\x01\x00"), {"long_frames": True}),  # no list
        (Client(b"\x01\x00"), {"energy": False, "objects": 0, "long_frames": True}),
    ],
)
async def test_long_frames_and_what_the_list_shows(clock: FakeClock, client: Any, learned: dict[str, Any]) -> None:
    assert await learning._long_frames(client) == learned


async def test_without_frames_nothing_is_said_of_them(clock: FakeClock) -> None:
    client: Any = Client(FramingError("a frame is damaged"))
    client.statistics = None
    assert await learning._long_frames(client) == {}


def octets(text: bytes) -> Data:
    return Data(DataType.OCTET_STRING, text)


def number(value: int) -> Data:
    return Data(DataType.LONG_UNSIGNED, value)


def structure(*items: Data) -> Data:
    return Data(DataType.STRUCTURE, items)


async def test_the_clients_that_its_associations_name() -> None:
    """The mechanism's name is written in two ways, and what is refused or odd is left out."""
    low, gmac = octets(bytes.fromhex("60857405080201")), structure(*map(number, (2, 16, 756, 5, 8, 2, 5)))
    answers = [REFUSED, structure(number(16), number(1)), REFUSED, structure(number(32), number(1)), low]
    answers += [structure(number(48), number(1)), gmac, REFUSED, low]
    client: Any = Client(answers)
    assert await learning._devices(client) == {
        "clients": [
            {"client": 16, "authentication": "unknown"},
            {"client": 32, "authentication": "low"},
            {"client": 48, "authentication": "gmac"},
        ]
    }


@pytest.mark.parametrize("client", [Client([], referencing="sn"), Client(FramingError("damaged")), Client([])])
async def test_a_meter_that_shows_neither_devices_nor_clients(client: Any) -> None:
    assert await learning._devices(client) == {}


async def test_the_formula_behind_an_address() -> None:
    """5321 is the end of the number and 1000 more: others of its kind are found by their numbers."""
    client: Any = Client([octets(b"LGZ1"), octets(b"87654321"), REFUSED, number(5)], physical=5321)
    facts = await learning._identity(client)
    assert (facts["serial_number"], facts["energy"]) == ("87654321", True)
    assert facts["address_from"].endswith("serial % 10000 + 1000 of 87654321")
    assert await learning._identity(Client(REFUSED)) == {}  # type: ignore[arg-type]
