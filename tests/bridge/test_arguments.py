"""Fields of a request: objects in every spelling, times, rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.bridge.api.replies import RequestError
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.requests.arguments import moment_in, reference_in, selections_in
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.client.procedures.profile import Selection
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.protocol.obis import Obis

VIENNA = ZoneInfo("Europe/Vienna")
ENERGY = Obis((1, 0, 1, 8, 0, 255))
DEMAND = Obis((1, 0, 1, 6, 0, 255))


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"obis": "1-0:1.8.0"}, ObjectRef(None, ENERGY)),
        ({"obis": "0100010800FF", "class": 3, "attribute": 3}, ObjectRef(3, ENERGY, 3)),
        ({"obis": "1.8.0:value", "attribute": 3}, ObjectRef(None, ENERGY, 3)),
        ({"obis": "3/1.8.0:2"}, ObjectRef(3, ENERGY, 2)),
        ("3/1.8.0:2", ObjectRef(3, ENERGY, 2)),
        ("energy_import", ObjectRef(None, ENERGY, 2)),
        ({"obis": "demand_max_import_time"}, ObjectRef(4, DEMAND, 5)),
        ({"obis": "demand_max_import_time", "class": 5, "attribute": 6}, ObjectRef(5, DEMAND, 6)),
    ],
)
def test_an_attribute(row: object, found: ObjectRef) -> None:
    assert reference_in(row, "attribute") == found


def test_a_method_is_never_the_attribute_of_a_key() -> None:
    assert reference_in({"obis": "demand_max_import_time"}, "method").is_whole
    assert reference_in({"obis": "energy_import", "method": 1}, "method") == ObjectRef(None, ENERGY, 1)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "bad-request"),
        (7, "bad-request"),
        ({"obis": 7}, "bad-request"),
        ({"obis": "nonsense"}, "invalid-value"),
        ({"obis": "65536/1.8.0"}, "invalid-value"),
        ({"obis": "1.8.0", "class": 65536}, "bad-request"),
        ({"obis": "1.8.0", "attribute": True}, "bad-request"),
    ],
)
def test_nonsense(row: object, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        reference_in(row, "attribute")
    assert caught.value.code == code


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"), [("24h", timedelta(days=1)), ("now", timedelta(0)), ("2026-11-22T10:30", timedelta(minutes=90))]
)
def test_ends_of_a_range(text: str, ago: timedelta) -> None:
    assert moment_in(text, NOW, "from") == NOW - ago


@pytest.mark.parametrize(("text", "name"), [("24h", "set"), ("now", "set"), ("soon", "to"), (7, "from"), ("w", "to")])
def test_what_is_no_time(text: object, name: str) -> None:
    with pytest.raises(RequestError, match=f"'{name}': '{text}' is no time"):
        moment_in(text, NOW, name)


def parts(**body: object) -> list[Selection]:
    found = selections_in(Request(Address("h", "request", "profile"), dict(body)), NOW)
    made = list(found)
    assert len(made) == found.total
    return made


TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)


def test_without_a_choice_the_last_day() -> None:
    assert parts() == [Selection(NOW - DAY, NOW)]
    assert parts(to="24h") == [Selection(NOW - 2 * DAY, NOW - DAY)]


def test_a_day_at_a_time_and_no_row_twice() -> None:
    """Both ends of a selection belong to it, so that a part ends before the next begins."""
    begin = NOW - 2 * DAY - timedelta(hours=6)
    assert parts(**{"from": "54h"}) == [
        Selection(begin, begin + DAY - TICK),
        Selection(begin + DAY, begin + 2 * DAY - TICK),
        Selection(begin + 2 * DAY, NOW),
    ]
    assert parts(**{"from": "now"}) == [Selection(NOW, NOW)]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"count": 3}, [Selection(first=1, count=3)]),
        ({"first": 7}, [Selection(first=7)]),
        ({"first": 7, "count": 1}, [Selection(first=7, count=1)]),
        (
            {"count": 201},
            [Selection(first=1, count=100), Selection(first=101, count=100), Selection(first=201, count=1)],
        ),
    ],
)
def test_rows_by_number_some_at_a_time(body: dict[str, int], rows: list[Selection]) -> None:
    assert parts(**body) == rows


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"first": 1, "from": "24h"}, "bad-request", "by time or by number"),
        ({"count": 1, "to": "24h"}, "bad-request", "by time or by number"),
        ({"first": "1"}, "bad-request", "'first' is of the wrong kind"),
        ({"from": "24h", "to": "48h"}, "invalid-value", "'from' is after 'to'"),
        ({"from": "1995-01-01"}, "bad-request", "days apart"),
        ({"from": "1889-01-01"}, "bad-request", "'from'"),
    ],
)
def test_a_choice_of_rows_that_makes_no_sense(body: dict[str, object], code: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        parts(**body)
    assert (caught.value.code, words in str(caught.value)) == (code, True), str(caught.value)


def test_a_span_across_both_changes_of_the_clock() -> None:
    def span(now: datetime, **body: str) -> list[tuple[str, str]]:
        found = selections_in(Request(Address("h", "request", "profile"), dict(body)), now)
        return [(f"{part.start:%dT%H:%M}", f"{part.end:%dT%H:%M}") for part in found]

    autumn = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=VIENNA)  # 01:10 in UTC, and 02:50 summer time is over
    assert span(autumn, **{"from": "2026-10-25T02:50"}) == [("25T00:50", "25T01:10")]
    assert span(autumn, **{"from": "1h"}) == [("25T00:10", "25T01:10")]
    assert span(autumn) == [("24T01:10", "25T01:10")]
    spring = datetime(2026, 3, 29, 12, 0, tzinfo=VIENNA)  # 23 hours after noon of the day before
    assert span(spring, **{"from": "2026-03-28T12:00"}) == [("28T11:00", "29T10:00")]
