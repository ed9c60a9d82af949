"""What a meter pushes: DataNotifications of the objects in its push setup, plain or ciphered, on schedule or event.

``notification`` makes the message; ``serve`` and ``pusher`` bring it to somebody.
"""

from __future__ import annotations

from dlms_mqtt.cosem.structures import CaptureObject, array, capture_objects
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest, VariableName
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.buffer import encode_length
from dlms_mqtt.protocol.obis import CLOCK, Obis
from dlms_mqtt.protocol.security import Cipher, Security
from dlms_mqtt.simulator.server import services
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject, Outcome, make, named

SCHEDULED, ON_EVENT = Obis((0, 0, 25, 9, 0, 255)), Obis((0, 4, 25, 9, 0, 255))
_TCP, _A_XDR = 0, 0


def push_object(meter: Meter, obis: Obis, sources: list[CaptureObject], destination: bytes = b"") -> CosemObject:
    """Class 40: what is pushed where; method 1 pushes now."""

    def push(context: Context, _argument: Data | None) -> Outcome:
        for listener in context.meter.on_push:
            listener(obis)
        return Outcome()

    target = named("structure", (named("enum", _TCP), named("octet-string", destination), named("enum", _A_XDR)))
    return make(
        40,
        str(obis),
        array(sources),
        target,
        named("array", ()),
        named("long-unsigned", 0),
        named("unsigned", 3),
        named("long-unsigned", 30),
        writable=(2, 3, 4, 5, 6, 7),
        checks={2: _readable_list},
        methods={1: push},
    )


def _readable_list(value: object) -> bool:
    try:
        capture_objects(Data(DataType.ARRAY, value))
    except (DecodeError, TypeError):
        return False
    return True


def push_objects(meter: Meter) -> list[CosemObject]:
    """The scheduled push of readings, and the one of alarms."""
    name = CaptureObject(1, Obis((0, 0, 42, 0, 0, 255)), 2)
    clock = CaptureObject(8, CLOCK, 2)
    registers = [(1, 8, 0), (1, 8, 1), (1, 8, 2), (2, 8, 0), (1, 7, 0), (2, 7, 0)]
    readings = [CaptureObject(3, Obis((1, 0, c, d, e, 255)), 2) for c, d, e in registers]
    alarms = [CaptureObject(1, Obis((0, 0, 97, 98, 0, 255)), 2), CaptureObject(1, Obis((0, 0, 96, 11, 0, 255)), 2)]
    return [
        push_object(meter, SCHEDULED, [CaptureObject(40, SCHEDULED, 2), clock, name, *readings]),
        push_object(meter, ON_EVENT, [CaptureObject(40, ON_EVENT, 2), clock, name, *alarms]),
    ]


def notification(
    meter: Meter, obis: Obis = SCHEDULED, *, client: int = 1, ciphered: bool = False, number: int = 1, time: bool = True
) -> bytes:
    """The message of a push setup; ``client`` gives the rights, and the keys where it is ciphered."""
    row = meter.associations[client]
    context = Context(meter, row)
    item = meter.objects[40, obis]
    sources = capture_objects(item.data(context, 2))
    values = [_value(context, source) for source in sources]
    body = bytes((DataType.STRUCTURE,)) + encode_length(len(values)) + b"".join(values)
    stamp = DateTime.from_datetime(meter.now()).raw if time else None
    octets = DataNotification(number, stamp, body).encode()
    return push_cipher(meter, row).protect_apdu(octets) if ciphered else octets


def report(meter: Meter, target: AttributeDescriptor, *, client: int = 1, short: bool = False) -> bytes:
    """One attribute that the meter reports by itself: EventNotification, with ``short`` names InformationReport."""
    context = Context(meter, meter.associations[client])
    value, now = _value(context, CaptureObject(*target)), DateTime.from_datetime(meter.now())
    if not short:
        return EventNotification(now.raw, target, value).encode()
    item = meter.objects[target.class_id, target.obis]
    name = VariableName(item.short_name + 8 * (target.attribute - 1))
    return InformationReportRequest(f"{meter.now():%Y%m%d%H%M%S}".encode(), (name,), (decode(value)[0],)).encode()


def tell_clients(meter: Meter, octets: bytes) -> int:
    """Send an APDU over every association that stands; how many there were."""
    for session in list(meter.sessions):
        session.push(octets)
    return len(meter.sessions)


def _value(context: Context, source: CaptureObject) -> bytes:
    found = services.read(context, AttributeDescriptor(*source[:3]))
    return b"\x00" if isinstance(found, int) else found


def push_cipher(meter: Meter, row: Association) -> Cipher:
    """Pushes are ciphered with the global key, in the general form, which carries the meter's title."""
    if row.keys is None:
        raise ValueError(f"client {row.client} has no keys")
    return Cipher(
        suite=row.suite,
        security=row.policy or Security.BOTH,
        keys=row.keys,
        system_title=meter.title,
        next_counter=meter.next_counter,
        form="general-global",
        warn=lambda _text: None,
    )
