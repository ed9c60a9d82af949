"""The clients of the household: every way in once, and secrets that are printed and protect nothing."""

from __future__ import annotations

from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator.household.clients import KEYS, KEYS_256, PASSWORD, PUBLISHED, household_associations
from dlms_mqtt.simulator.server.faults import Faults


def test_each_client_once_and_every_mechanism() -> None:
    rows = household_associations()
    assert len({row.client for row in rows}) == len({row.name for row in rows}) == len(rows)
    assert {row.mechanism for row in rows} == set(Mechanism) - {Mechanism.HLS_ECDSA}
    assert {row.suite for row in rows} == {0, 1, 2}


def test_keys_fit_their_suites() -> None:
    for row in household_associations():
        if row.keys is not None:
            row.keys.check(row.suite)


def test_who_wants_a_secret_has_one() -> None:
    for row in household_associations():
        assert bool(row.secret) is (row.mechanism not in (Mechanism.NONE, Mechanism.HLS_GMAC))
        assert (row.algorithm is not None) is (row.mechanism is Mechanism.HLS)


def test_what_may_be_shown() -> None:
    assert {PASSWORD, KEYS.encryption, KEYS_256.authentication, b""} <= PUBLISHED
    assert Secret(b"a user's own") not in PUBLISHED


def test_faults_go_to_every_association() -> None:
    faults = Faults(["lost"])
    assert all(row.faults is faults for row in household_associations(faults))
