"""Values as people read them: one line each."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.cli.print_values import print_values, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("0.0000001"), "0.0000001"),
        (Decimal("1.20"), "1.2"),
        (Decimal("NaN"), ""),
        (5, "5"),
        (1e-07, "0.0000001"),
        (True, "True"),
        (b"\x00\xff", "00ff"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
        ("a", "a"),
        (None, ""),
        ([Decimal(1), None, "x", [2, 3]], "1, , x, 2, 3"),
    ],
)
def test_one_line(value: Any, text: str) -> None:
    assert shown(value) == text


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"obis": "1.0.1.8.0.255", "attribute": 2, "name": "Energy", "value": Decimal(7), "unit": "Wh"}
    print_values([row, {**row, "value": "text", "unit": None}])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["OBIS", "ATTR", "NAME", "VALUE", "UNIT"]
    assert first.split() == ["1.0.1.8.0.255", "2", "Energy", "7", "Wh"]
    assert second.split() == ["1.0.1.8.0.255", "2", "Energy", "text"]


def test_nothing_is_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_values([])
    assert capsys.readouterr().out == ""
