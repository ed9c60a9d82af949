"""The search for an association: clients, referencing, passwords that are sent once and to whom they belong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.sign_on import SignOnFailed
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    ConnectFailed,
    ConnectionLost,
    DlmsMqttError,
    FramingError,
    MeterRefused,
    ResponseTimeout,
    ServiceRefused,
)
from dlms_mqtt.meter.finder import Found, Limits, association_search, find
from dlms_mqtt.meter.finder.association_search import Entering, reason_of
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.protocol.acse.names import ServiceUserDiagnostic
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.framing.sign_on import Identification
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


# -- one step of it ----------------------------------------------------------------------------------------------------

LINK: dict[str, Any] = {"baud": 9600, "parity": "none", "client": 16, "server": 1}


@asynccontextmanager
async def entering(bench: Bench, clock: FakeClock, shape: Any = None, **options: Any) -> AsyncIterator[Entering]:
    """The search at a station that is known already; ``shape``: what becomes of the meter's octets."""
    async with on_line(bench, clock) as (open_line, near):
        near.peer.fault = shape
        row: dict[str, Any] = {"store": None, "credentials": {}, "clients": dict.fromkeys((16, 32), 1.0)} | options
        settings = ConnectionSettings(serial="bench")
        yield Entering(
            settings, open_line, Facts(), stage=lambda *_: None, max_clients=len(row["clients"]), patience=0.0, **row
        )


async def test_a_port_that_was_not_there_for_a_moment_says_nothing_about_the_meter(clock: FakeClock) -> None:
    async with entering(Bench(), clock) as search:
        plain, times = search.open_line, []

        def at_the_second_time(settings: ConnectionSettings) -> Any:
            times.append(settings)
            if len(times) == 1:
                raise ConnectFailed("the port is busy")
            return plain(settings)

        search.open_line = at_the_second_time
        assert not (await search.run(LINK)).reason
    assert [attempt.reason for attempt in search.attempts] == ["line", ""]
    assert search.attempts[1].options == LINK  # nothing else was proposed


async def test_long_frames_are_made_shorter_until_they_get_through(clock: FakeClock) -> None:
    async with entering(Bench(breaks_frames_over=60), clock) as search:
        found = await search.run(LINK)
    assert (found.options["max_info"], found.learned["long_frames"]) == (32, True)
    assert "max_info" in search.facts.oddities


async def test_where_no_length_gets_through_the_proposal_stays(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none_of_them(_: DlmsClient) -> dict[str, Any]:
        return {"long_frames": False}

    monkeypatch.setattr(association_search, "learn", none_of_them)
    async with entering(Bench(), clock) as search:
        assert (await search.run(LINK)).options == LINK
    assert [attempt.options.get("max_info") for attempt in search.attempts] == [None, 64, 32]
    assert "max_info" not in search.facts.oddities


async def test_another_client_may_come_in(clock: FakeClock) -> None:
    async with entering(Bench(clients=(public(32),)), clock) as search:
        found = await search.run(LINK)
    assert (found.reason, found.options["client"]) == ("", 32)


async def test_who_is_met_with_silence_is_asked_once_more(clock: FakeClock) -> None:
    """The frame may have been lost; who is silent twice is left, with what was refused at last."""
    async with entering(Bench(clients=(public(77),), silent_clients=True), clock) as search:
        found = await search.run(LINK)
    assert found.reason == "silence"
    assert [a.options["client"] for a in search.attempts if a.options["client"] != 16] == [32, 32]


async def test_the_survey_asks_who_has_not_been_asked(clock: FakeClock) -> None:
    clients = (public(), reader(32), public(48))
    async with entering(Bench(clients=clients), clock, clients=dict.fromkeys((16, 32, 48, 1), 1.0)) as search:
        await search.run(LINK)
        known = await search.survey(LINK, 4)
    assert known == [
        {"client": 16, "access": "open"},
        {"client": 32, "access": "password"},
        {"client": 48, "access": "open"},
    ]
    assert [attempt.options["client"] for attempt in search.attempts] == [16, 32, 48, 1]


async def test_the_first_open_client_with_energy(clock: FakeClock) -> None:
    rows = [{"client": client, "access": access} for client, access in ((32, "password"), (48, "open"), (1, "open"))]
    bench = Bench(clients=(public(), public(48), Association(1, "reader", 1), reader(32)))
    async with entering(bench, clock) as search:
        found = await search.first_with_energy(LINK, rows)
        assert found is not None
        assert found.options["client"] == 1
        assert await search.first_with_energy(LINK, rows[:2]) is None  # 48 is shown none
    assert not bench.passwords


async def test_a_password_waits_until_it_is_known_who_asks_for_one(clock: FakeClock) -> None:
    """The public client comes in: the others are asked without a password first, and one of them wants it."""
    own = {"password": Secret(PASSWORD), "authentication": "low"}
    bench = Bench()
    async with entering(bench, clock, credentials=own) as search:
        found = await search.run(LINK)
    assert (found.reason, found.options["client"]) == ("", 32)
    assert bench.passwords == [(32, PASSWORD)]


async def test_a_password_for_which_nobody_asks_is_not_sent(clock: FakeClock) -> None:
    own = {"password": Secret(PASSWORD), "authentication": "low"}
    bench = Bench(clients=(public(),))
    async with entering(bench, clock, credentials=own) as search:
        assert (await search.run(LINK)).options == LINK
    assert not bench.passwords


async def test_keys_of_a_meter_that_does_not_cipher_prove_who_we_are(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the context without ciphering: GMAC alone gives no key away."""
    own = {
        "client": 1,
        "authentication": "gmac",
        "security": "both",
        "encryption_key": KEYS.encryption,
        "authentication_key": KEYS.authentication,
    }
    asked: list[dict[str, Any]] = []

    async def plain_context(_: Entering, settings: ConnectionSettings, options: dict[str, Any]) -> dict[str, Any]:
        asked.append(options)
        if settings.protection != "none":
            raise AssociationRefused("refused", reason="context")
        return {"energy": True}

    monkeypatch.setattr(Entering, "_patiently", plain_context)
    async with entering(Bench(), clock, credentials=own) as search:
        found = await search.run(LINK)
    assert not found.reason
    assert [options.get("security") for options in asked] == ["both", "none"]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_meter_that_has_signed_on_before_may_still_wait_for_hdlc(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    times: list[float] = []

    async def at_the_second_time(*_: Any) -> dict[str, Any]:
        times.append(clock.elapsed)
        if len(times) == 1:
            raise SignOnFailed("silent", b"", "bench")
        return {"energy": True}

    monkeypatch.setattr(Entering, "_converse", at_the_second_time)
    async with entering(Bench(), clock) as search:
        search.facts.identification = Identification("ISK", "5", (), "ME371") if waits else None
        search.patience = 20.0
        made = await search.attempt(LINK)
    assert made.reason == ("" if waits else "silence")
    assert times == ([0.0, 20.0] if waits else [0.0])


async def test_many_damaged_frames_are_worth_a_word(clock: FakeClock) -> None:
    async with entering(Bench(faults=("wrong-check,p=0.3,times=10000",)), clock) as search:
        await search.attempt(LINK)
    assert "damaged-frames" in search.facts.oddities


async def test_a_release_that_is_never_answered_is_left_out_where_nothing_else_ends_the_link() -> None:
    meter = household(faults=Faults(["refuse-release:silence"]))
    async with serve_tcp(meter) as server:
        found = await find(
            {"tcp": f"127.0.0.1:{server.port}", "timeout": 0.5, "client": 16}, limits=Limits(seconds=60, clients=0)
        )
    assert found.complete
    assert found.connection["no_release"] is True


async def test_with_a_link_a_release_that_is_never_answered_is_only_noted(clock: FakeClock) -> None:
    clients = (public(keys=KEYS, policy=Security.BOTH, faults=Faults(["refuse-release:silence"])),)
    keys = {"encryption_key": KEYS.encryption, "authentication_key": KEYS.authentication}
    # Only a ciphered association is released before its link is taken down.
    ciphered = LINK | keys | {"security": "both", "invocation_counter": 1}
    async with entering(Bench(clients=clients), clock) as search:
        made = await search.attempt(dict(ciphered))
        assert not made.reason
        assert "no_release" not in made.options  # the link's own end is enough
        assert "release-unanswered" in search.facts.oddities
        search.facts.oddities.clear()
        await search.attempt(ciphered | {"timeout": 15.0})  # the slowest get no time to answer it
        assert not search.facts.oddities


@pytest.mark.parametrize("error", [FramingError("blocks are out of order"), MeterRefused("not now")])
async def test_who_lets_us_in_and_answers_oddly_is_found(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, error: DlmsMqttError
) -> None:
    async def odd(_: DlmsClient) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(association_search, "learn", odd)
    async with entering(Bench(), clock) as search:
        made = await search.run(LINK)
    assert not made.reason
    assert made.learned["referencing"] == "ln"
    assert made.learned["max_pdu"] > 0
    assert search.facts.failure == error.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AuthenticationRefused("no"), "password"),
        (AssociationRefused("no", code=13), "password"),
        (AssociationRefused("no", reason="context"), "context"),
        (AssociationRefused("no", code=2), "context"),
        (AssociationRefused("no", code=1), "other"),
        (AssociationRefused("no"), "other"),  # a DM has no code
        (ServiceRefused("no", name="initiate-error: pdu-size-too-short"), "proposal"),
        (ServiceRefused("no", name="service-not-allowed"), "other"),
        (ResponseTimeout("nothing"), "silence"),
        (ConnectionLost("gone"), "line"),
        (FramingError("odd"), "line"),
    ],
)
def test_why_an_association_failed(error: DlmsMqttError, reason: str) -> None:
    assert reason_of(error) == reason
