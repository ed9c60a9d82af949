"""The search as a table: what is asked on which kind of line, what the user fixed, the best worth per second first."""

from __future__ import annotations

import itertools

import pytest

from dlms_mqtt.meter.finder.candidates import Fixed, Speed
from dlms_mqtt.meter.finder.plan import FAST, PATIENT, Probe, direct, ordered, serial_plan, stream_plan, unlinked

PLANS = [serial_plan(Fixed()), stream_plan(Fixed(), None), unlinked("wrapper", Fixed(), 1.0)]


@pytest.mark.parametrize("plan", PLANS, ids=["serial", "stream", "unlinked"])
def test_the_best_worth_per_second_goes_first(plan: list[Probe]) -> None:
    assert all(one.ratio >= other.ratio for one, other in itertools.pairwise(plan))
    assert all(probe.cost > 0 and probe.weight > 0 for probe in plan)


def test_a_port_of_our_own_is_asked_in_every_way() -> None:
    assert {probe.kind for probe in PLANS[0]} == {"direct", "sweep", "sign-on", "listen"}
    assert any(probe.options.get("rts") is False and probe.kind == "direct" for probe in PLANS[0])


@pytest.mark.parametrize(
    ("opening", "kinds"),
    [("direct", {"direct", "sweep", "listen"}), ("sign-on", {"sign-on", "listen"}), ("readout", {"sign-on", "listen"})],
)
def test_an_opening_that_was_given_is_the_only_one(opening: str, kinds: set[str]) -> None:
    assert {probe.kind for probe in serial_plan(Fixed(opening=opening))} == kinds


def test_a_speed_that_was_given_is_the_only_one() -> None:
    plan = serial_plan(Fixed(baud=2400, parity="even"))
    asked = [probe for probe in plan if probe.kind in ("direct", "sweep")]
    assert {(probe.options["baud"], probe.options["parity"]) for probe in asked} == {(2400, "even")}
    assert {probe.options.get("baud", 2400) for probe in plan if probe.kind == "sign-on"} == {2400}


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
def test_a_framing_that_is_known_is_the_only_one(framing: str) -> None:
    plan = stream_plan(Fixed(), framing)
    assert ({probe.kind for probe in plan} == {"wrapper"}) is (framing == "wrapper")
    assert not any("baud" in probe.options for probe in plan if probe.kind == "direct")


def test_nothing_is_asked_directly_of_a_converter_whose_meter_signs_on() -> None:
    assert {probe.kind for probe in stream_plan(Fixed(opening="sign-on"), "hdlc")} == {"sign-on", "listen"}


def test_the_likeliest_server_has_a_second_chance_with_patience() -> None:
    plan = unlinked("wrapper", Fixed(), 1.0)
    patient = [probe for probe in plan if probe.wait == PATIENT]
    assert {probe.options["server"] for probe in patient} == {1}
    assert all(probe.options["timeout"] == PATIENT for probe in patient)
    assert {probe.options["server"] for probe in unlinked("wrapper", Fixed(server=5), 1.0)} == {5}


def test_addresses_are_scanned_only_where_none_is_known() -> None:
    speed = [Speed(9600, "none", 1.0)]
    assert len([probe for probe in direct(speed, Fixed()) if probe.kind == "sweep"]) > len(
        [probe for probe in direct(speed, Fixed(server=1)) if probe.kind == "sweep"]
    )
    found = direct(speed, Fixed(server=1, physical=17))
    assert {(station.server, station.physical) for probe in found for station in probe.stations} == {(1, 17)}


def test_quick_questions_of_a_client() -> None:
    probe = Probe("direct", {"client": 16}, 0.5, 2.0)
    assert (probe.ratio, probe.burst_of(16), probe.burst_of(1)) == (0.25, True, False)
    assert not Probe("direct", {"client": 16}, 0.5, 2.0, wait=4 * FAST).burst_of(16)
    assert ordered([probe, Probe("listen", {}, 9.0, 1.0)])[0].kind == "listen"
