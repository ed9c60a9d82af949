"""The load profile P.01 in clear text: what is none, a head that comes again, what is asked for it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from dlms_mqtt.client.services.load_profile import earlier, parse_load_profile, range_request
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.axdr.timestamps import DAYLIGHT_SAVING, DateTime
from tests.client.line.test_programming import EMH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "P.01(1)",
        "P.01(1220823161500)(00)(15)(1)(x)(kW)",
        "P.01()()(a)(b)",
        "P.01(1220823161500)(00)(15)(2)(1.5)(kW)(2.5)\r\n(1)(2)",
        "P.01(1220823161500)(00)(99999999999)(1)(1.5)(kW)\r\n(1)\r\n(2)",
        f"{EMH}\r\nP.01(x)\r\n(1)",
        f"{EMH}\r\nP.01(1220823180000)(00)(x)(1)(1.5)(kW)\r\n(1)",
    ],
)
def test_no_profile(text: str) -> None:
    with pytest.raises(DecodeError):
        parse_load_profile(text)


def test_a_head_after_a_gap() -> None:
    gap = (
        EMH
        + "\r\nP.01(1220823180000)(00000080)(15)(6)(1.5)(kW)(2.5)(kW)(5.5)(kvar)(6.5)(kvar)(7.5)(kvar)(8.5)(kvar)\r\n"
    )
    found = parse_load_profile(gap + "(0.1)(0)(0)(0)(0)(0)\r\n")
    assert len(found.rows) == 3
    assert found.rows[2].value[1].value == "00000080"


def stamp(*parts: int, summer: bool = False) -> DateTime:
    return DateTime.from_datetime(datetime(*parts), deviation=False, status=DAYLIGHT_SAVING if summer else 0)  # type: ignore[arg-type]


def test_what_is_asked() -> None:
    start, end = stamp(2026, 3, 29, 1, 45), stamp(2026, 3, 29, 3, 15, summer=True)
    assert range_request("P.01", start, end, season=True) == "P.01(02603290145;12603290315)"
    assert range_request("P.01", start, end, season=False) == "P.01(2603290145;2603290315)"
    assert range_request("P.01", earlier(end, timedelta(hours=1)), end, season=True).startswith("P.01(12603290215;")
