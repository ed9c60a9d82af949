"""Random mixtures found in memory on a fake clock, three on pseudo-terminals and one over RFC 2217; who may hear a
password; what a second run remembers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import serve_tcp, serve_udp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.clock import Clock
from tests.fake_clock import FakeClock
from tests.line import PacedPty, Rfc2217Server
from tests.meter.finder_bench import PASSWORD, Bench, on_line
from tests.meter.finder_mixtures import mixture, readout_mixture

#: The last ones were lost once: late answers cut in two or taken for another speed's, frames lost where it hurts.
SEEDS = (*range(48), 165, 183, 1022, 1031, 1044, 1075, 1119, 2219, 2236, 5201, 6109)
PATIENT = Limits(seconds=1200, go_on=True)


async def found_on(bench: Bench, clock: Clock, *, given: dict[str, Any] | None = None, **options: Any) -> Found:
    path = options.pop("path", {})
    options.setdefault("limits", PATIENT)
    async with on_line(bench, clock, **path) as (open_line, _):
        return await find({"serial": "bench", **(given or {})}, open_line=open_line, **options)


@pytest.mark.parametrize("seed", SEEDS)
async def test_mixtures(clock: FakeClock, seed: int) -> None:
    made = mixture(seed)
    print(f"seed {seed}: {made.words}")
    found = await found_on(made.bench, clock, path=made.path)
    assert found.complete, found
    server, physical, size = made.bench.station
    connection = found.connection
    assert (connection.get("server", 1), connection.get("physical")) == (server, physical)
    assert connection.get("address_size", size) == size
    assert connection.get("opening", "direct") == made.bench.opening
    assert not made.bench.passwords
    assert found.seconds < PATIENT.seconds


@pytest.mark.slow_once
@pytest.mark.parametrize("seed", range(30))
async def test_mixtures_in_clear_text(clock: FakeClock, seed: int) -> None:
    """They are proposed to be read as they are; a password that somebody gives is not sent."""
    made = readout_mixture(seed)
    print(f"seed {seed}: {made.words}")
    given = {"password": Secret(PASSWORD)} if seed % 2 else {}
    found = await found_on(made.bench, clock, path=made.path, given=given)
    assert found.complete, found
    assert found.connection["opening"] == "readout"
    assert found.learned["energy"]
    assert not made.bench.passwords
    assert PASSWORD not in bytes(made.bench.heard)
    assert found.seconds < 120


@pytest.mark.slow_once
@pytest.mark.parametrize("seed", SEEDS[::2])
async def test_mixtures_of_users_with_a_password(clock: FakeClock, seed: int) -> None:
    """It goes to the one client that asks for it, and is called refused only where the meter has refused it."""
    made = mixture(seed)
    right = seed % 4 == 0
    secret = PASSWORD if right else b"wrong-wrong"
    given = {"password": Secret(secret)} | ({"client": made.reader} if seed % 8 < 4 else {})
    found = await found_on(made.bench, clock, path=made.path, given=given)
    assert {client for client, _ in made.bench.passwords} <= {made.reader}, "misplaced"
    assert made.bench.astray(secret) == 0
    refused = made.bench.refusals
    assert sum(refused.values()) <= (0 if right else 1), "meters lock"
    assert ("password-refused" in found.names) <= bool(refused), found
    assert found.complete if right else found.complete or refused, found
    if right and made.bench.passwords:
        assert found.connection["client"] == made.reader


async def test_the_block_works_as_it_stands(clock: FakeClock) -> None:
    """What is printed is parsed again and opens an association."""
    from dlms_mqtt.client.client import DlmsClient
    from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME
    from dlms_mqtt.client.settings import parse_settings

    bench = Bench(opening="sign-on", station=(1, 80, 2))
    async with on_line(bench, clock) as (open_line, _):
        found = await find({"serial": "bench"}, open_line=open_line)
        settings = parse_settings(found.json()["connection"])
        async with DlmsClient(settings, transport=open_line(settings)) as client:
            assert (await client.get(LOGICAL_DEVICE_NAME)).value


async def test_the_progress_rises_and_names_the_stage(clock: FakeClock) -> None:
    seen: list[tuple[float, float, str]] = []
    await found_on(Bench(baud=19200), clock, progress=lambda *step: seen.append(step))
    assert len(seen) > 3
    assert all(done <= total for done, total, _ in seen)
    assert all(stage for *_, stage in seen)


async def test_a_time_limit_and_cancelling_leave_the_port(clock: FakeClock) -> None:
    bench = Bench(opening="direct", baud=9600, station=(99, 99, 4))
    async with on_line(bench, clock) as (open_line, near):
        found = await find({"serial": "bench"}, open_line=open_line, limits=Limits(seconds=20))
        assert not found.found
        assert "time" in found.names
        assert found.seconds == pytest.approx(20, abs=0.1)
        task = asyncio.create_task(find({"serial": "bench"}, open_line=open_line))
        await asyncio.sleep(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert near._inbox is None


async def test_a_second_run_remembers(clock: FakeClock) -> None:
    bench = Bench(baud=2400, station=(1, 80, 2))
    with Store() as store:
        async with on_line(bench, clock) as (open_line, _):
            first = await find({"serial": "bench"}, open_line=open_line, store=store)
            second = await find({"serial": "bench"}, open_line=open_line, store=store)
        assert second.connection == first.connection
        assert second.seconds < 6 < first.seconds
        assert store.get("finder", "bench")["physical"] == 80
        async with on_line(Bench(opening="sign-on"), clock) as (open_line, _):
            other = await find({"serial": "bench"}, open_line=open_line, store=store)
        assert other.complete
        assert other.connection["opening"] == "sign-on"


async def test_what_was_found_is_kept_when_the_time_ends_in_the_search_for_more(clock: FakeClock) -> None:
    bench = Bench(opening="sign-on")
    async with on_line(bench, clock) as (open_line, _):
        found = await find({"serial": "bench"}, open_line=open_line, limits=Limits(seconds=8.0))
    assert found.complete, found
    assert "time" not in found.names


async def test_a_wrong_password_is_sent_once_over_the_wrapper_too() -> None:
    meter = household()
    own = {"password": Secret(b"wrong"), "authentication": "low"}
    async with serve_tcp(meter) as server:
        found = await find({"tcp": f"127.0.0.1:{server.port}", "client": 32}, credentials=own)
    assert "password-refused" in found.names
    assert meter.failures == {32: 1}


async def test_what_the_user_knows_is_not_searched(clock: FakeClock) -> None:
    bench = Bench(baud=1200, station=(1, 5000, 4))
    known = {"baud": 1200, "physical": 5000, "address_size": 4, "opening": "direct"}
    found = await found_on(bench, clock, given=known, limits=Limits(clients=0))
    assert found.complete
    assert found.seconds < 10


async def test_a_number_leads_to_the_address(clock: FakeClock) -> None:
    bench = Bench(opening="sign-on", station=(1, 1000 + 4711, 4))
    found = await found_on(bench, clock, limits=Limits(numbers=("No. 12 34 4711",)))
    assert found.connection["physical"] == 5711


async def test_presets_of_the_family_go_first(clock: FakeClock) -> None:
    """An Elster at physical address 80, as its preset says; and a plain search for comparison."""
    seconds = []
    for maker in ("ELS", "XYZ"):
        identification = Identification(maker, "5", ("2",), "AS3500")
        bench = Bench(opening="sign-on", station=(1, 80, 2), identification=identification)
        seconds.append((await found_on(bench, clock)).seconds)
    assert seconds[0] < seconds[1]


# -- passwords ---------------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_where_no_link_is_proved(clock: FakeClock) -> None:
    bench = Bench(station=(90, 9000, 4))
    own = {"password": Secret(PASSWORD), "authentication": "low", "client": 32}
    await found_on(bench, clock, credentials=own, limits=Limits(seconds=120))
    assert bench.astray(PASSWORD) == 0
    assert bench.passwords == []


# -- real ports --------------------------------------------------------------------------------------------------------


async def on_port(bench: Bench, port: PacedPty | Rfc2217Server) -> Found:
    task = asyncio.create_task(bench.play(port.meter, Clock()))
    name = port.device if isinstance(port, PacedPty) else port.url
    try:
        return await find({"serial": name}, limits=Limits(seconds=60))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_three_pseudo_terminals_told_nothing_but_the_port() -> None:
    benches = (
        Bench(seed=1, station=(1, 17, 4), echo=True),
        Bench(seed=2, baud=115200, station=(1, 16, 2), dm_first=1),
        Bench(seed=3, opening="sign-on", identification=Identification("ISk", "5", ("2",), "M3"), station=(1, 1, 2)),
    )

    async def one(bench: Bench) -> Found:
        async with PacedPty(bench.line) as port:
            return await on_port(bench, port)

    for bench, found in zip(benches, await asyncio.gather(*map(one, benches)), strict=True):
        assert found.complete, found
        assert found.connection.get("physical") == bench.station[1]
        assert found.connection.get("opening", "direct") == bench.opening
        assert not bench.passwords


async def test_over_rfc2217() -> None:
    bench = Bench(opening="sign-on", identification=Identification("ISk", "5", ("2",), "M4"))
    async with Rfc2217Server(bench.line) as port:
        found = await on_port(bench, port)
    assert found.complete, found
    assert found.connection["opening"] == "sign-on"
    assert not bench.passwords


# -- networks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_tcp(framing: str) -> None:
    async with serve_tcp(household(), framing=framing) as server:
        found = await find({"tcp": f"127.0.0.1:{server.port}"}, limits=Limits(seconds=60, clients=2))
    assert found.complete, found
    expected = {"tcp": ("127.0.0.1", server.port), "client": 16} | ({} if framing == "wrapper" else {"framing": "hdlc"})
    assert {key: value for key, value in found.connection.items() if key != "framing" or value == "hdlc"} == expected


async def test_udp() -> None:
    async with serve_udp(household()) as (host, port):
        found = await find({"udp": f"{host}:{port}"}, limits=Limits(seconds=60, clients=0))
    assert found.complete, found


async def test_a_closed_port_says_so() -> None:
    with pytest.raises(ConnectFailed):
        await find({"tcp": "127.0.0.1:9"}, limits=Limits(seconds=10))


async def test_only_the_named_port_is_opened(clock: FakeClock) -> None:
    opened: list[str] = []
    bench = Bench()
    async with on_line(bench, clock) as (open_line, _):

        def watch(settings: ConnectionSettings) -> Any:
            opened.append(settings.line)
            return open_line(settings)

        await find({"serial": "bench"}, open_line=watch)
    assert set(opened) == {"bench"}


def test_format_of_the_bench() -> None:
    assert Bench(opening="sign-on").line == SerialFormat(300, 7, "even", 1)
