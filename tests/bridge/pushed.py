"""A push of a meter with the wrapper: power and energy, each with its scaler and unit."""

from __future__ import annotations

from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis


def push_of(power: int) -> bytes:
    items = [
        Data(DataType.STRUCTURE, (Data(DataType.OCTET_STRING, bytes(Obis.parse(obis))), value, unit))
        for obis, value, unit in (
            ("1.0.1.7.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, power), _unit(0, 27)),
            ("1.0.1.8.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, 123456), _unit(0, 30)),
        )
    ]
    body = encode(Data(DataType.ARRAY, tuple(items)))
    apdu = DataNotification(1, None, body).encode()
    return bytes.fromhex("000100010066") + len(apdu).to_bytes(2, "big") + apdu


def _unit(scaler: int, code: int) -> Data:
    return Data(DataType.STRUCTURE, (Data(DataType.INTEGER, scaler), Data(DataType.ENUM, code)))
