"""Rows of associations: whom they let in, and how they address objects."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.simulator.server.associations import (
    LEVELS,
    LN_SERVICES,
    SN_ASSOCIATION_NAME,
    SN_SERVICES,
    Association,
)


@pytest.mark.parametrize(("referencing", "ln", "sn"), [("ln", True, False), ("sn", False, True), ("both", True, True)])
def test_referencing(referencing: str, ln: bool, sn: bool) -> None:
    row = Association(16, "public", referencing=referencing)
    assert (row.speaks("ln"), row.speaks("sn")) == (ln, sn)


def test_services_are_those_of_their_referencing() -> None:
    assert LN_SERVICES & Conformance.GET and not LN_SERVICES & Conformance.READ
    assert SN_SERVICES & Conformance.READ and not SN_SERVICES & Conformance.GET


def test_levels_rise() -> None:
    assert LEVELS["public"] < LEVELS["reader"] < LEVELS["manager"]


def test_the_reserved_short_name() -> None:
    """Blue Book: the base name of the current association is FA00h."""
    assert SN_ASSOCIATION_NAME == 0xFA00
