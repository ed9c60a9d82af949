"""Every bound of a request, at it and beyond it; what is beyond costs nothing and is told with its name."""

from __future__ import annotations

import itertools
import json
import re
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.payload import MAX_REQUEST, loads
from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.requests import bounds
from dlms_mqtt.bridge.requests.arguments import selections_in
from dlms_mqtt.bridge.requests.dispatcher import Request, parse
from dlms_mqtt.client.procedures.profile import Selection

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
OBIS = {"obis": "1.0.99.1.0.255"}


def checked(body):
    """The field that is named, or "" for a body within its bounds."""
    address = Address("m", "request", "profile")
    try:
        request = parse(address, body if isinstance(body, bytes) else json.dumps(body).encode(), lambda *_: None)
        bounds.check(request.body)
    except RequestError as error:
        assert error.code == "bad-request"
        return (re.search(r"'(\w+)'", error.message) or ["", "?"])[1]
    return ""


@pytest.mark.parametrize(
    ("field", "at", "beyond"),
    [
        ("count", 100_000, 100_001),
        ("count", 1, 0),
        ("count", 1, 10**12),
        ("first", 0xFFFF_FFFF, 2**32),
        ("first", 1, -1),
        ("minutes", 1440, 1441),
        ("minutes", 1, 1.5),
        ("timeout", 86400, 86401),
        ("timeout", 0.5, 0),
        ("timeout", 5, "5"),
        ("timeout", 5, True),
        ("class", 65535, 65536),
        ("attribute", 127, 128),
        ("method", 0, -1),
        ("obis", "x" * 64, "x" * 65),
        ("obis", "1.0.1.8.0.255", 5),
        ("type", "unsigned", ["unsigned"]),
        ("key", "k" * 64, "k" * 65),
        ("from", "2026-01-01", ["2026-01-01"]),
        ("to", "2026-01-01", {"to": 1}),
        ("items", [{}] * 500, [{}] * 501),
        ("items", [], {}),
        ("keys", ["power"] * 500, ["power"] * 501),
        ("keys", ["power"], [[]]),
        ("keys", ["power"], [{"a": 1}]),
        ("set", True, 5),
        ("set", "2026-01-01", ["2026-01-01"]),
        ("config", {}, []),
        ("line", {"tcp": "h:1"}, 5),
        ("id", "x" * 128, "x" * 129),
        ("id", 10**127, 10**128),
        ("value", [[0]], 10**400),
        ("value", "x" * 65_536, "x" * 65_537),
        ("value", [0] * 19_000, [[0] * 10_000] * 2),
        ("value", json.loads("[" * 30 + "]" * 30), json.loads("[" * 33 + "]" * 33)),
        ("whatever", "x", {"a": {"b": 10**301}}),
    ],
)
def test_each_bound(field, at, beyond):
    assert checked({field: at}) == ""
    assert checked({field: beyond}) == field


@given(
    st.dictionaries(
        st.sampled_from([*bounds.BOUNDS, "id", "value", "confirm"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(max_size=80)
            | st.sampled_from([10**400, -(2**64), 1.5]),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        ),
    )
)
def test_any_body_is_within_its_bounds_or_a_bad_request(body):
    checked(body)


@pytest.mark.parametrize("payload", [b"[" * 100_000 + b"]" * 100_000, b'{"x": ' + b"[" * 900 + b"]" * 900 + b"}"])
def test_deep_nesting_is_refused(payload):
    assert checked(payload)


def test_a_request_with_the_largest_payload_is_judged_quickly():
    body = b'{"value": [' + b",".join([b"0"] * (MAX_REQUEST // 2 - 8)) + b"]}"
    began = time.thread_time()
    assert checked(body) == "value"
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    ("body", "total"),
    [
        ({}, 1),
        ({"first": 5}, 1),
        ({"count": 100_000}, 1000),
        ({"count": 101, "first": 7}, 2),
        ({"from": "2026-11-26T00:00:00"}, 4),
        ({"from": "2016-11-29T00:00:00", "to": "2026-11-29T00:00:00"}, 3652),
        ({"to": "2020-01-01"}, 1),
    ],
)
def test_parts_are_made_one_by_one(body, total):
    tracemalloc.start()
    parts = selections_in(Request(Address("m", "request", "profile"), loads(json.dumps(body))), NOW)
    spent = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert parts.total == total and spent < 100_000
    assert sum(1 for _ in parts) == total


def test_rows_by_number_are_asked_for_once_each():
    body = {"first": 7, "count": 250}
    parts = list(selections_in(Request(Address("m", "request", "profile"), body), NOW))
    assert parts == [Selection(first=7, count=100), Selection(first=107, count=100), Selection(first=207, count=50)]


def test_no_row_has_a_number_beyond_the_last():
    """Where the rows would go on, the request was `internal`, with a traceback."""
    body = {"first": 0xFFFF_FFFF - 120, "count": 100_000}
    parts = list(selections_in(Request(Address("m", "request", "profile"), body), NOW))
    assert [(part.first, part.count) for part in parts] == [(0xFFFF_FFFF - 120, 100), (0xFFFF_FFFF - 20, 21)]


def test_days_meet_and_do_not_overlap():
    body = {"from": "2026-11-01T06:00:00+00:00", "to": "2026-11-03T12:00:00+00:00"}
    parts = list(selections_in(Request(Address("m", "request", "profile"), body), NOW))
    assert [part.start for part in parts] == [datetime(2026, 11, day, 6, tzinfo=UTC) for day in (1, 2, 3)]
    assert parts[-1].end == datetime(2026, 11, 3, 12, tzinfo=UTC)
    assert all(late.start - early.end == timedelta(microseconds=1) for early, late in itertools.pairwise(parts))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": "9999-12-31T23:59:59Z"}, "to"),
        ({"from": "0001-01-01T00:00:00"}, "from"),
        ({"from": "0001-01-02"}, "from"),
        ({"from": "1990-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "2099-12-31", "to": "2100-01-01"}, "to"),
    ],
)
def test_times_that_no_meter_has_lived(body, field):
    with pytest.raises(RequestError, match=f"'{field}'") as error:
        selections_in(Request(Address("m", "request", "profile"), body), NOW)
    assert error.value.code == "bad-request"


def test_the_page_tells_every_bound():
    page = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text()
    told = page.partition("## Bounds")[2].partition("\n## ")[0]
    missing = [
        f"`{name}` is {bound.words}"
        for name, bound in bounds.BOUNDS.items()
        if f"| `{name}` | {bound.words} |" not in told
    ]
    assert missing == []
