"""What reading, writing and running come to, whoever asks and however it is written: rights first, then the object.

Logical names, short names and ACCESS are three spellings of these three functions.
"""

from __future__ import annotations

from dlms_mqtt.protocol.apdu.descriptors import AccessSelector, AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.buffer import encode_length
from dlms_mqtt.simulator.server.objects import Context, CosemObject, Method, Outcome

R = DataAccessResult


class RequestRefused(Exception):
    """A fault: the whole request is answered with an exception-response."""


def find(context: Context, target: AttributeDescriptor | MethodDescriptor) -> CosemObject | int:
    """The object that a descriptor means, or why it cannot be had."""
    item = context.meter.objects.get((target[0], target[1]))
    if item is not None and (target[0], target[1]) in context.view:
        return item
    known = any(obis == target[1] for _, obis in context.view)
    return R.OBJECT_CLASS_INCONSISTENT if known else R.OBJECT_UNDEFINED


def read(context: Context, target: AttributeDescriptor, access: AccessSelector | None = None) -> bytes | int:
    """The encoded value, or the data-access-result that takes its place."""
    item = find(context, target)
    if not isinstance(item, CosemObject):
        return item
    if target.attribute == 0:
        return _all(context, item)
    rights = context.view[target[0], target[1]].attribute_access.get(target.attribute)
    if target.attribute not in item.values:
        return R.OBJECT_UNDEFINED
    if rights is None or not rights.read:
        return R.READ_WRITE_DENIED
    faults = context.association.faults
    if faults and faults.denies(target):
        return R.READ_WRITE_DENIED
    if access is None:
        return item.encoded(context, target.attribute)
    if faults and (fault := faults.strike("refuse-selection")):
        if fault.value == "exception":
            raise RequestRefused
        return R.OTHER_REASON if fault.value == "error" else item.encoded(context, target.attribute)
    select = item.selectors.get(target.attribute, {}).get(access[0])
    return R.SCOPE_OF_ACCESS_VIOLATED if select is None else select(context, access)


def _all(context: Context, item: CosemObject) -> bytes:
    """Attribute 0: a structure of all that may be read."""
    rights = context.view[item.class_id, item.obis].attribute_access
    values = [item.encoded(context, n) if rights[n].read else b"\x00" for n in sorted(item.values) if n in rights]
    return bytes((DataType.STRUCTURE,)) + encode_length(len(values)) + b"".join(values)


def write(context: Context, target: AttributeDescriptor, value: Data, access: AccessSelector | None = None) -> int:
    """Write a value; the data-access-result."""
    item = find(context, target)
    if not isinstance(item, CosemObject):
        return item
    if target.attribute not in item.values:
        return R.OBJECT_UNDEFINED
    rights = context.view[target[0], target[1]].attribute_access.get(target.attribute)
    if rights is None or not rights.write:
        return R.READ_WRITE_DENIED
    if access is not None:
        return R.SCOPE_OF_ACCESS_VIOLATED
    return item.put(context, target.attribute, value)


def invoke(context: Context, target: MethodDescriptor, argument: Data | None) -> Outcome:
    """Run a method."""
    item = find(context, target)
    if not isinstance(item, CosemObject):
        return Outcome(item)
    method: Method | None = item.methods.get(target.method)
    if method is None:
        return Outcome(ActionResult.OBJECT_UNDEFINED)
    rights = context.view[target[0], target[1]].method_access.get(target.method)
    if rights is None or not rights.invoke:
        return Outcome(ActionResult.READ_WRITE_DENIED)
    if not _argument_fits(item, target.method, argument):
        return Outcome(ActionResult.TYPE_UNMATCHED)
    return method(context, argument)


def _argument_fits(item: CosemObject, number: int, argument: Data | None) -> bool:
    """Meters want the typed parameter, an integer 0 where it says nothing; never a bare null."""
    row = item.row.method(number) if item.row else None
    return row is None or row.type is None or (argument is not None and argument.type is row.type)


def encoded(outcome: Outcome) -> bytes | None:
    """What a method returned, encoded."""
    return None if outcome.returned is None else encode(outcome.returned)
