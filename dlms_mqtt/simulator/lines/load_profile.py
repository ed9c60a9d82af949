"""A load profile of the simulated meter in clear text, as programming mode tells it (P.01): a head, then the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo

from dlms_mqtt.cosem.data_lines import stamp_of
from dlms_mqtt.cosem.structures import CaptureObject, ScalerUnit, capture_objects
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, range_access
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_whole
from dlms_mqtt.protocol.axdr.timestamps import DAYLIGHT_SAVING, DateTime
from dlms_mqtt.protocol.obis import CLOCK, Obis
from dlms_mqtt.simulator.lines.readout import in_thousands, reduced_code
from dlms_mqtt.simulator.server import services
from dlms_mqtt.simulator.server.objects import Context

_PROFILE, _CLOCK = 7, 8
_BUFFER, _COLUMNS, _PERIOD, _SCALER = 2, 3, 4, 3
_FIRST_VALUE = 2  # column behind time and status


def profile_lines(context: Context, zone: tzinfo, number: int, span: str) -> Iterator[str]:
    """The lines of ``P.01(from;to)``, each with its end; none where there is no such profile.

    ``zone``: of the times of the request. A head comes first, and again when the status changes.
    """
    obis = Obis((1, 0, 99, number, 0, 255))
    columns = _attribute(context, obis, _COLUMNS)
    if columns is None:
        return
    sources = capture_objects(columns)[_FIRST_VALUE:]
    scalers = [ScalerUnit.from_data(context.meter.objects[source[:2]].data(context, _SCALER)) for source in sources]
    heads, status = _heads(sources, scalers), None
    start, end = (_moment(text, zone) for text in (*span.split(";"), "")[:2])
    minutes = _whole(_attribute(context, obis, _PERIOD)).value // 60
    for row in _whole(_attribute(context, obis, _BUFFER, start, end)).value:
        time, word, *values = row.value
        if word.value != status:
            status = word.value
            yield f"P.{number:02d}({_stamp(time)})({status:08X})({minutes})({len(sources)}){heads}\r\n"
        yield _row(scalers, values)


def _whole(found: Data | None) -> Data:
    return found if found is not None else Data(DataType.ARRAY, ())


def _heads(sources: Sequence[CaptureObject], scalers: Sequence[ScalerUnit]) -> str:
    pairs = zip(sources, scalers, strict=True)
    return "".join(f"({reduced_code(source.obis)})({in_thousands(scaler, 0)[1]})" for source, scaler in pairs)


def _row(scalers: Sequence[ScalerUnit], values: Sequence[Data]) -> str:
    pairs = zip(scalers, values, strict=True)
    return "".join(f"({in_thousands(scaler, cell.value)[0]})" for scaler, cell in pairs) + "\r\n"


def _attribute(
    context: Context, obis: Obis, number: int, start: Data | None = None, end: Data | None = None
) -> Data | None:
    clock = CaptureObject(_CLOCK, CLOCK, 2, 0)
    access = None if start is None or end is None else range_access(clock, start, end)
    found = services.read(context, AttributeDescriptor(_PROFILE, obis, number), access)
    return None if isinstance(found, int) else decode_whole(found)


def _moment(text: str, zone: tzinfo) -> Data | None:
    """A local time of a request; the digit before it tells the season."""
    stated = stamp_of(text)
    moment = stated.to_datetime() if stated is not None else None
    if moment is None:
        return None
    local = moment.replace(tzinfo=zone)
    later = local.replace(fold=1)  # of the hour that comes twice
    return _octets(later if text[0] == "0" and later.utcoffset() != local.utcoffset() else local)


def _octets(moment: datetime) -> Data:
    return Data(DataType.OCTET_STRING, DateTime.from_datetime(moment).encode())


def _stamp(time: Data) -> str:
    moment = DateTime.decode(time.value)
    shown = moment.to_datetime()
    season = int(bool((moment.status or 0) & DAYLIGHT_SAVING))
    return f"{season}{shown:%y%m%d%H%M%S}" if shown is not None else ""
