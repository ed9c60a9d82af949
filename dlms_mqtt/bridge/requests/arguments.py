"""What the fields of a request say: objects, times and rows of a profile, taken apart; RequestError for nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.requests import bounds
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.client.procedures.profile import LAST_ENTRY, Selection
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.catalogue.reference import method_of, object_of
from dlms_mqtt.times import parse_moment

_DAY = timedelta(days=1)
_ENTRIES = 100  # rows of a profile that are asked for together


def reference_in(row: Any, number: str) -> ObjectRef:
    """The object that a row (or a bare ``[CLASS/]OBIS[:NUMBER]`` or key) names; ``number``: what its number is called.

    What has a field of its own goes before the text.
    """
    row = {"obis": row} if isinstance(row, str) else row
    if not isinstance(row, Mapping) or not isinstance(row.get("obis"), str):
        raise RequestError("bad-request", "'obis' is missing")
    try:
        named = (method_of if number == "method" else object_of)(row["obis"])
    except ConfigError as error:
        raise RequestError("invalid-value", error.message, hint=error.hint) from None
    class_id, index = _small(row, "class", 0xFFFF), _small(row, number, 127)
    if class_id is not None:
        named = named._replace(class_id=class_id)
    return named if index is None else named._replace(number=index, name="")


def _small(row: Mapping[str, Any], name: str, most: int) -> int | None:
    value = row.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most):
        raise RequestError("bad-request", f"'{name}' is a number from 0 to {most}")
    return value


def moment_in(text: Any, now: datetime, name: str = "set") -> datetime:
    """A time in ISO 8601; without an offset it is in the zone of ``now``. ``name``: the field, for an error.

    ``from`` and ``to`` may also say ``now`` or how long ago: ``24h``, ``7d``; a clock is not set so.
    """
    try:
        moment = parse_moment(str(text), now.tzinfo, None if name == "set" else now)
    except ConfigError as error:
        raise RequestError("invalid-value", f"'{name}': {error.message}", hint=error.hint) from None
    return bounds.check_moment(name, moment)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a profile is read in: ``total`` selections, made one by one."""

    total: int
    make: Callable[[int], Selection]

    def __iter__(self) -> Iterator[Selection]:
        return map(self.make, range(self.total))


def selections_in(request: Request, now: datetime) -> Parts:
    """``from``, ``to`` or ``first``, ``count`` in parts of a day or some rows; without all of them the last day."""
    start, end = request.body.get("from"), request.body.get("to")
    first, count = request.get("first", int), request.get("count", int)
    if (first is not None or count is not None) and (start is not None or end is not None):
        raise RequestError("bad-request", "Rows are chosen by time or by number, not both")
    if first is not None or count is not None:
        return _by_number(first or 1, count)
    until = (moment_in(end, now, "to") if end is not None else now).astimezone(UTC)  # a wall clock tells 02:30 twice
    begin = moment_in(start, now, "from").astimezone(UTC) if start is not None else until - _DAY
    return _by_day(begin, until)


def _by_number(first: int, count: int | None) -> Parts:
    if count is None:
        return Parts(1, lambda _: Selection(first=first))
    end = min(first + count, LAST_ENTRY + 1)
    starts = range(first, end, _ENTRIES)
    return Parts(len(starts), lambda number: Selection(first=starts[number], count=min(_ENTRIES, end - starts[number])))


def _by_day(begin: datetime, end: datetime) -> Parts:
    if begin > end:
        raise RequestError("invalid-value", "'from' is after 'to'")
    if end - begin > bounds.LONGEST_SPAN:
        raise RequestError("bad-request", f"'from' and 'to' are at most {bounds.LONGEST_SPAN.days} days apart")
    edge = timedelta(microseconds=1)  # both ends of a selection belong to it

    def part(number: int) -> Selection:
        low, high = begin + number * _DAY, min(begin + (number + 1) * _DAY, end)
        return Selection(low, high if high == end else high - edge)

    return Parts(max(1, -((begin - end) // _DAY)), part)
