"""What is decoded and what the fast meter holds: made once, the same for every contender."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from benchmarks import names
from dlms_mqtt.cosem.access import AttributeAccess, MethodAccess
from dlms_mqtt.cosem.object_list import ObjectInfo, encode_object_list
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Cipher, Keys, Security

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD = timedelta(minutes=15)
KEY = bytes(range(16))
AUTHENTICATION_KEY = bytes(range(0xD0, 0xE0))
TITLE = b"DMQ\x00\x00\x00\x00\x01"
REGISTERS = [Obis(code) for code in names.REGISTERS]
PROFILE, CLOCK = Obis(names.PROFILE), Obis(names.CLOCK)


def u32(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


def octets(value: bytes) -> Data:
    return Data(DataType.OCTET_STRING, value)


def structure(*items: Data) -> Data:
    return Data(DataType.STRUCTURE, items)


def scaler_unit() -> Data:
    return structure(Data(DataType.INTEGER, -1), Data(DataType.ENUM, 30))


def row(index: int) -> Data:
    """A profile row: time, status, four registers (38 octets)."""
    moment = DateTime.from_datetime(START + index * PERIOD).encode()
    values = [u32(1_000_000 + index * step) for step in (7, 11, 13, 17)]
    return structure(octets(moment), Data(DataType.UNSIGNED, index & 0xFF), *values)


def buffer(rows: int) -> bytes:
    """A profile buffer."""
    return encode(Data(DataType.ARRAY, tuple(map(row, range(rows)))))


def capture_objects() -> bytes:
    """The columns of ``row``."""
    columns = [(8, CLOCK), (1, Obis(names.STATUS)), *((3, obis) for obis in REGISTERS[:4])]
    return encode(
        Data(
            DataType.ARRAY,
            tuple(
                structure(
                    Data(DataType.LONG_UNSIGNED, class_id),
                    octets(bytes(obis)),
                    Data(DataType.INTEGER, 2),
                    Data(DataType.LONG_UNSIGNED, 0),
                )
                for class_id, obis in columns
            ),
        )
    )


def view(objects: int) -> bytes:
    """An association view of registers with rights."""
    read = {number: AttributeAccess(1) for number in (1, 2, 3)}
    methods = {1: MethodAccess(1)}
    infos = [
        ObjectInfo(3, 0, Obis((1, 0, 1 + index // 100, 8, index % 100, 255)), read, methods, None)
        for index in range(objects)
    ]
    return encode_object_list(infos, 1)


def get_frame() -> bytes:
    """An HDLC frame with the answer to a GET: a register of 32 bits."""
    return encode_frame(0x30, b"\x21", b"\x03", b"\xe6\xe7\x00\xc4\x01\xc1\x00" + encode(u32(12345678)))


def push() -> tuple[bytes, bytes]:
    """A DataNotification of codes, values, scalers and units, in clear and in general-glo-ciphering (439 octets)."""
    items: list[Data] = []
    for obis in REGISTERS[:15]:
        items += [octets(bytes(obis)), u32(123456), scaler_unit()]
    head = b"\x0f\x00\x00\x00\x01\x0c" + DateTime.from_datetime(START).encode()
    plain = head + encode(structure(*items, octets(bytes(_padding(items, head)))))
    return plain, cipher().protect_apdu(plain)


def _padding(items: list[Data], head: bytes) -> int:
    wrapped = 1 + 1 + 8 + 3 + 5 + 12  # tag, title, length, control and counter, authentication tag
    return 439 - wrapped - len(head) - len(encode(structure(*items))) - 2


def keys() -> Keys:
    return Keys(Secret(KEY), Secret(AUTHENTICATION_KEY))


def cipher() -> Cipher:
    """The sender's end."""
    counter = iter(range(1, 1_000_000_000))
    return Cipher(
        suite=0,
        security=Security.BOTH,
        keys=keys(),
        system_title=TITLE,
        next_counter=lambda: next(counter),
        form="general-global",
        warn=print,
    )
