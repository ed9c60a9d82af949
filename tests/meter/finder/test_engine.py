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
from dlms_mqtt.simulator import KEYS, Association, SignOnOptions, serve_memory, serve_tcp, serve_udp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.clock import Clock
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.line import PacedPty, Rfc2217Server
from tests.meter.finder_bench import PASSWORD, Bench, on_line, public, reader
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


async def test_a_meter_that_answers_to_several_addresses_is_left_in_peace(clock: FakeClock) -> None:
    """Its links are all taken down, so that it falls back to the sign-on at once."""
    near, far = memory_pair(line=SerialFormat(), latency=0.03)
    async with serve_memory(household(clock=clock), far, "hdlc", sign_on=SignOnOptions()):
        found = await find({"serial": "bench"}, open_line=lambda _: near)
    assert found.complete
    assert found.seconds < 13  # with two sign-ons for other clients, as the public one is shown no energy
    assert found.learned["clients_with_password"] == [32]
    await near.close()


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


async def test_an_open_client_that_is_shown_energy_goes_before_one_that_is_not(clock: FakeClock) -> None:
    """No password is needed for it, so nobody is asked for one."""
    bench = Bench(clients=(public(16), Association(1, "reader", 1), reader(32)))
    with Store() as store:
        async with on_line(bench, clock) as (open_line, _):
            found = await find({"serial": "bench"}, open_line=open_line, store=store)
            again = await find({"serial": "bench"}, open_line=open_line, store=store)
            named = await find({"serial": "bench", "client": 16}, open_line=open_line, store=store)
    assert (found.connection["client"], found.learned["energy"]) == (1, True)
    assert "no-energy" not in found.names
    assert again.connection == found.connection
    assert (named.connection["client"], "no-energy" in named.names) == (16, True)  # who names a client means it


async def test_the_clients_of_a_remembered_meter_are_known_without_asking(clock: FakeClock) -> None:
    bench = Bench(opening="sign-on")
    with Store() as store:
        async with on_line(bench, clock) as (open_line, _):
            first = await find({"serial": "bench"}, open_line=open_line, store=store)
            second = await find({"serial": "bench"}, open_line=open_line, store=store)
    assert "client 32 asks for a password" in first.diagnosis and "client 32 asks for a password" in second.diagnosis
    assert second.seconds < 8


async def test_what_was_found_is_kept_when_the_time_ends_in_the_search_for_more(clock: FakeClock) -> None:
    bench = Bench(opening="sign-on")
    async with on_line(bench, clock) as (open_line, _):
        found = await find({"serial": "bench"}, open_line=open_line, limits=Limits(seconds=8.0))
    assert found.complete, found
    assert "time" not in found.names


async def test_a_second_run_with_the_password_goes_straight_there(clock: FakeClock) -> None:
    """The first run ends with "wants a password"; the second one asks without it first, which proves the link."""
    bench = Bench(baud=2400, station=(1, 80, 2), clients=(reader(32),))
    own = {"password": Secret(PASSWORD), "authentication": "low"}
    with Store() as store:
        async with on_line(bench, clock) as (open_line, _):
            first = await find({"serial": "bench"}, open_line=open_line, store=store)
            assert first.found
            assert not first.complete
            second = await find({"serial": "bench", "client": 32}, open_line=open_line, store=store, credentials=own)
    assert second.complete, second
    assert second.seconds < 12
    assert bench.passwords == [(32, PASSWORD)]


async def test_a_remembered_place_where_another_meter_sits_now_gets_no_password(clock: FakeClock) -> None:
    own = {"password": Secret(PASSWORD), "authentication": "low"}
    other = Bench(baud=9600, clients=(reader(32),), station=(1, 17, 2))
    with Store() as store:
        async with on_line(Bench(baud=2400, clients=(reader(32),)), clock) as (open_line, _):
            assert (await find({"serial": "bench"}, open_line=open_line, store=store)).found
        async with on_line(other, clock) as (open_line, _):
            found = await find({"serial": "bench", "client": 32}, open_line=open_line, store=store, credentials=own)
    assert found.complete, found
    assert other.passwords == [(32, PASSWORD)]
    assert other.astray(PASSWORD) == 0


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


async def test_keys_are_credentials_too() -> None:
    own = {
        "authentication": "gmac",
        "encryption_key": KEYS.encryption,
        "authentication_key": KEYS.authentication,
        "client": 1,
    }
    async with serve_tcp(household()) as server:
        found = await find({"tcp": f"127.0.0.1:{server.port}"}, credentials=own, limits=Limits(clients=0))
    assert found.complete, found
    assert found.connection["client"] == 1
    assert not {"encryption_key", "authentication_key"} & set(found.json()["connection"])


# -- passwords ---------------------------------------------------------------------------------------------------------


async def test_a_password_goes_to_the_one_client_that_asks_for_it(clock: FakeClock) -> None:
    bench = Bench(opening="sign-on", clients=(reader(32),), echo=True)
    found = await found_on(bench, clock, credentials={"password": Secret(PASSWORD), "authentication": "low"})
    assert found.complete
    assert found.connection["client"] == 32
    assert bench.passwords == [(32, PASSWORD)]
    assert bench.astray(PASSWORD) == 0
    assert PASSWORD.decode() not in str(found.json()) + repr(found)
    assert "password" not in found.json()["connection"]


async def test_a_password_goes_to_the_client_that_was_named(clock: FakeClock) -> None:
    bench = Bench(clients=(public(), reader(1, b"other"), reader(32)))
    own = {"password": Secret(PASSWORD), "authentication": "low"}
    found = await found_on(bench, clock, given={"client": 32}, credentials=own)
    assert found.complete
    assert bench.passwords == [(32, PASSWORD)]
    assert not bench.wrong_passwords()


async def test_without_a_name_and_two_that_ask_none_is_sent(clock: FakeClock) -> None:
    bench = Bench(clients=(reader(1, b"other"), reader(32)))
    own = {"password": Secret(PASSWORD), "authentication": "low"}
    found = await found_on(bench, clock, credentials=own)
    assert not found.complete
    assert bench.passwords == []
    assert sorted(found.learned["clients_with_password"]) == [1, 32]


async def test_a_wrong_password_is_sent_once(clock: FakeClock) -> None:
    bench = Bench(clients=(reader(32),))
    own = {"password": Secret(b"wrong"), "authentication": "low"}
    found = await found_on(bench, clock, given={"client": 32}, credentials=own)
    assert bench.passwords == [(32, b"wrong")]
    assert "password-refused" in found.names
    assert "once" in found.diagnosis


async def test_a_wrong_password_is_not_sent_by_a_second_run_either(clock: FakeClock) -> None:
    bench = Bench(clients=(reader(32),))
    wrong = {"password": Secret(b"wrong"), "authentication": "low"}
    right = {"password": Secret(PASSWORD), "authentication": "low"}
    with Store() as store:
        async with on_line(bench, clock) as (open_line, _):
            line = {"serial": "bench", "client": 32}
            for names in ("password-refused", "refused-before", "refused-before"):
                found = await find(line, open_line=open_line, store=store, credentials=wrong)
                assert names in found.names
                assert not found.complete
                assert "silent" not in found.names
            assert bench.passwords == [(32, b"wrong")]
            assert "wrong" not in str(store.items("finder refused"))
            found = await find(line, open_line=open_line, store=store, credentials=right)
    assert found.complete
    assert bench.passwords == [(32, b"wrong"), (32, PASSWORD)]


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


async def test_a_client_that_is_shown_no_energy_is_told(clock: FakeClock) -> None:
    found = await found_on(Bench(clients=(public(), reader(32, PASSWORD))), clock)
    assert found.complete and found.connection["client"] == 16
    assert "no-energy" in found.names and found.learned["energy"] is False
    assert "Client 16 shows" in found.diagnosis and "no energy; client 32 asks for a password" in found.diagnosis
    known = {"client": 32, "authentication": "low", "password": f"text:{PASSWORD.decode()}"}
    with_password = await found_on(Bench(clients=(public(), reader(32, PASSWORD))), clock, given=known)
    assert with_password.learned.get("energy") is not False and "no-energy" not in with_password.names
