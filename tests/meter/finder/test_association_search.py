"""The search for an association: clients, referencing, passwords that are sent once and to whom they belong."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.state.store import Store
from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.protocol.acse.names import ServiceUserDiagnostic
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Security
from dlms_mqtt.simulator import KEYS, Association, Faults, SignOnOptions, serve_memory, serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server import opening, session
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.clock import Clock
from dlms_mqtt.transport.memory import memory_pair
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


async def test_15_an_association_was_left_open(clock: FakeClock) -> None:
    clients = (public(faults=Faults(["stuck:40,times=1"])),)
    found = await search(Bench(clients=clients, stuck=True), clock, Limits(seconds=200, patience=60))
    assert found.complete
    assert "association-stuck" in found.names


async def test_15_no_client_may_come_in(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(77),)), clock)
    assert found.names[0] == "no-rights"


async def test_18_a_refusal_without_user_information(clock: FakeClock) -> None:
    found = await search(Bench(clients=(reader(16),)), clock)
    assert found.found
    assert not found.complete
    assert found.names[0] == "password"


async def test_21_the_public_client_comes_in_and_others_want_a_password(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(), reader(32))), clock)
    assert found.complete
    assert {"client": 16, "access": "open"} in found.learned["clients"]
    assert {"client": 32, "access": "password"} in found.learned["clients"]
    assert "more-clients" in found.names


async def test_23_the_largest_message_must_be_unlimited(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = session.open_association

    def only_unlimited(meter: Any, client: int, aarq: Any) -> Any:
        if InitiateRequest.decode(aarq.user_information).max_pdu_size:
            raise opening.Refused(ServiceUserDiagnostic.NO_REASON_GIVEN, ConfirmedServiceError(1, 6, 3).encode())
        return plain(meter, client, aarq)

    monkeypatch.setattr(session, "open_association", only_unlimited)
    found = await search(Bench(), clock)
    assert found.complete
    assert found.connection["max_pdu"] == 0
    assert "max-pdu" in found.names


async def test_21_every_client_wants_ciphering(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(keys=KEYS, policy=Security.BOTH),)), clock)
    assert not found.complete
    assert found.names[0] == "keys"
    assert "--encryption-key" in found.diagnosis


async def test_the_answer_to_a_password_is_lost(clock: FakeClock) -> None:
    """That is no refusal, and it is not tried again either."""
    bench = Bench(clients=(reader(32),))
    own = {"password": Secret(PASSWORD), "authentication": "low"}

    def without_acceptance(data: bytes) -> list[tuple[float, bytes]]:
        return [] if bench.passwords and b"\xe6\xe7\x00\x61" in data else [(0.0, data)]

    async with on_line(bench, clock) as (open_line, near):
        near.peer.fault = without_acceptance
        found = await find({"serial": "bench", "client": 32}, open_line=open_line, limits=QUICK, credentials=own)
    assert len(set(bench.passwords)) == 1
    assert "password-unanswered" in found.names
    assert "password-refused" not in found.names


async def test_a_meter_that_is_silent_at_lists(clock: FakeClock) -> None:
    """It is not taken for one with short names, and the block works with lists left out."""
    clients = (public(faults=Faults(["refuse-lists:silence"])),)
    found = await search(Bench(clients=clients), clock)
    assert found.complete
    assert "lists" in found.names
    assert found.connection.get("referencing", "ln") == "ln"
    assert "multiple-references" not in found.connection["conformance"]
    assert found.learned["logical_device_name"]


async def test_short_names_only(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(referencing="sn"),)), clock)
    assert found.complete
    assert found.connection["referencing"] == "sn"


async def test_a_meter_that_answers_to_several_addresses_is_left_in_peace(clock: FakeClock) -> None:
    """Its links are all taken down, so that it falls back to the sign-on at once."""
    near, far = memory_pair(line=SerialFormat(), latency=0.03)
    async with serve_memory(household(clock=clock), far, "hdlc", sign_on=SignOnOptions()):
        found = await find({"serial": "bench"}, open_line=lambda _: near)
    assert found.complete
    assert found.seconds < 13  # with two sign-ons for other clients, as the public one is shown no energy
    assert found.learned["clients_with_password"] == [32]
    await near.close()


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
