"""The load profile of the simulated meter in clear text: columns, rows, a new head where the status changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dlms_mqtt.client.services.load_profile import parse_load_profile
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.simulator import household
from dlms_mqtt.simulator.lines.load_profile import profile_lines
from dlms_mqtt.simulator.server.associations import READER, Association
from dlms_mqtt.simulator.server.objects import Context
from tests.fake_clock import FakeClock


def lines(now: datetime, number: int, span: str) -> list[str]:
    meter = household(clock=FakeClock(now.timestamp()))
    context = Context(meter, Association(client=0, name="reader", level=READER))
    return list(profile_lines(context, meter.zone, number, span))


def test_rows_and_columns() -> None:
    found = lines(datetime(2026, 1, 12, 12, 7, tzinfo=UTC), 1, "02601121000;02601121100")
    head, *rows = found
    assert head.startswith("P.01(0260112100000)(0000")
    assert head.rstrip().endswith("(15)(4)(1.8.0)(kWh)(2.8.0)(kWh)(3.8.0)(kvarh)(4.8.0)(kvarh)")
    assert len(rows) == 5
    shape = parse_load_profile("".join(found))
    assert {scaler.unit for scaler in shape.scalers} == {"Wh", "varh"}


def test_a_new_head_where_the_status_changes() -> None:
    """Summer time begins: the status says so, and the times go on in it."""
    found = lines(datetime(2026, 3, 29, 3, 7, tzinfo=UTC), 1, "02603290130;12603290430")
    heads = [line for line in found if line.startswith("P.")]
    assert len(heads) == 2
    assert heads[0][5] == "0"
    assert heads[1][5] == "1"
    times = [DateTime.decode(row.value[0].value).iso()[11:16] for row in parse_load_profile("".join(found)).rows]
    assert times == ["01:30", "01:45", "03:00", "03:15", "03:30", "03:45", "04:00", "04:15", "04:30"]


@pytest.mark.parametrize(("number", "rows"), [(2, 90), (7, 0)])
def test_other_profiles(number: int, rows: int) -> None:
    found = lines(datetime(2026, 1, 12, 12, 7, tzinfo=UTC), number, ";")
    assert len([line for line in found if not line.startswith("P.")]) == rows
