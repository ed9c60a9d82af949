"""Electricity: what groups C, D and E say, phases and tariffs, harmonics and angles, and codes that mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.meter.catalogue.electricity import BASES, FLOWS, MEASURES, electricity
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis

electric = st.tuples(st.just(1), st.just(0), st.integers(0, 127), st.integers(0, 60), st.integers(0, 130), st.just(255))


@given(
    st.sampled_from(sorted(FLOWS)), st.sampled_from(sorted(MEASURES)), st.sampled_from([1, 2, 3]), st.integers(0, 63)
)
def test_phases_and_tariffs_repeat_the_sum(c: int, d: int, phase: int, tariff: int) -> None:
    total, one = (quantity(Obis((1, 0, n, d, 0, 255))) for n in (c, c + 20 * phase))
    assert (one.key, one.name, one.unit, one.device_class) == (
        f"{total.key}_l{phase}",
        f"{total.name} L{phase}",
        total.unit,
        total.device_class,
    )
    rated = quantity(Obis((1, 0, c, d, tariff, 255)))
    assert rated.key == (f"{total.key}_t{tariff}" if tariff else total.key)


@given(electric.map(Obis), electric.map(Obis))
def test_no_two_electrical_values_share_a_key(one: Obis, other: Obis) -> None:
    assert (quantity(one).key == quantity(other).key) == (one == other)


def test_every_base_has_its_own_key() -> None:
    found = [quantity(Obis((1, 0, c, 7, 0, 255))).key for c in BASES]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("1.0.81.7.40.255", "angle_u1_i1"),
        ("1.0.81.7.99.255", None),
        ("1.0.32.7.5.255", "voltage_l1_harmonic_5"),
        ("1.0.32.7.124.255", "voltage_l1_thd"),
        ("1.0.32.7.127.255", None),
        ("1.0.32.99.0.255", None),
        ("1.0.1.8.70.255", None),
        ("1.0.32.31.0.255", "voltage_l1_low_threshold"),
    ],
)
def test_what_the_tables_do_not_say_is_left_to_the_code(code: str, key: str | None) -> None:
    found = electricity(Obis.parse(code))
    assert (found and found.key) == key


def test_a_net_register_may_fall_and_a_distortion_is_a_share() -> None:
    net, distortion = quantity(Obis.parse("1.0.16.8.0.255")), quantity(Obis.parse("1.0.31.7.124.255"))
    assert (net.state_class, distortion.unit, distortion.device_class) == ("total", "%", "")
