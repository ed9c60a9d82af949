"""P1 telegrams: the CRC of real ones, values, units and times; bare on a line and inside general-glo."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.meter.push.telegram import TelegramValue, telegram_values
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.framing.stream.decoder import FrameInfo, Message, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.p1_telegram import Telegram, crc16
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys
from tests.meter.p1_telegrams import FLUVIUS, LUXEMBOURG

REAL = pytest.mark.parametrize("octets", [FLUVIUS, LUXEMBOURG], ids=["fluvius", "luxembourg"])
KEY = bytes.fromhex("056f9b0cfedf150e889bead52fa7a174")
#: what the published description of the Luxembourg port gives as the key of the tag, the same for all meters
PUBLISHED_AUTHENTICATION_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
TITLE = b"SAGabcde"


def seal(text: bytes, counter: int = 1, authentication_key: bytes = PUBLISHED_AUTHENTICATION_KEY) -> bytes:
    """general-glo as the port sends it: security control 30, the key of the tag behind it as additional data."""
    nonce = TITLE + counter.to_bytes(4, "big")
    sealed = AESGCM(KEY).encrypt(nonce, text, b"\x30" + authentication_key)[:-4]
    content = b"\x30" + counter.to_bytes(4, "big") + sealed
    return b"\xdb\x08" + TITLE + b"\x82" + len(content).to_bytes(2, "big") + content


def telegram(*lines: str, end: str = "!") -> Telegram:
    return Telegram.decode("\r\n".join(["/XYZ5TEST", "", *lines, end, ""]).encode())


def by_code(octets: bytes) -> dict[str, TelegramValue]:
    found = telegram_values(Telegram.decode(octets))
    return {str(item.value.obis): item for item in found}


def scaled(item: TelegramValue) -> tuple[Decimal, str]:
    unit = item.value.scaler_unit
    assert unit is not None
    return unit.apply(item.value.data.value), unit.unit


def messages(found: list[StreamEvent]) -> list[bytes]:
    return [event.apdu for event in found if isinstance(event, Message)]


def test_crc() -> None:
    assert crc16(b"123456789") == 0xBB3D  # CRC-16/ARC


@REAL
def test_real_telegrams(octets: bytes) -> None:
    found = Telegram.decode(octets)
    assert found.crc is not None
    assert found.encode() == octets
    lines = [line for line in octets.decode().splitlines() if "(" in line]
    assert len(telegram_values(found)) == len(lines)


@REAL
def test_a_changed_octet_or_a_cut(octets: bytes) -> None:
    for at in range(10, len(octets) - 7, 13):
        with pytest.raises(DecodeError):
            Telegram.decode(octets[:at] + bytes((octets[at] ^ 0x01,)) + octets[at + 1 :])
    for end in range(1, len(octets) - 2, 7):
        with pytest.raises(DecodeError):
            Telegram.decode(octets[:end])


def test_values_of_a_luxembourg_meter() -> None:
    values = by_code(LUXEMBOURG)
    assert scaled(values["1.0.1.8.0.255"]) == (Decimal(273_764), "Wh")
    assert scaled(values["1.0.2.7.0.255"]) == (Decimal(897), "W")
    assert scaled(values["1.0.32.7.0.255"]) == (Decimal("231.0"), "V")
    assert scaled(values["1.0.31.7.0.255"]) == (Decimal(1), "A")
    assert scaled(values["0.0.17.0.0.255"]) == (Decimal(27_600), "VA")
    gas = values["0.1.24.2.1.255"]
    assert scaled(gas) == (Decimal("14239.771"), "m³")
    assert gas.time is not None
    moment = gas.time.to_datetime(ZoneInfo("Europe/Luxembourg"))
    assert moment is not None
    assert moment.isoformat() == "2026-04-03T17:45:42+02:00"
    assert values["0.0.42.0.0.255"].value.data.value == b"SAG1030700012701"
    assert values["1.1.31.4.0.255"].value.data.plain() == ["040*A", "-040*A"]


def test_values_of_a_fluvius_meter() -> None:
    values = by_code(FLUVIUS)
    assert scaled(values["1.0.1.6.0.255"]) == (Decimal(2589), "W")
    assert scaled(values["1.0.31.7.0.255"]) == (Decimal(0), "A")
    assert values["0.0.96.14.0.255"].value.data == (DataType.DOUBLE_LONG_UNSIGNED, 1)
    assert values["0.1.96.1.1.255"].value.data.value == bytes.fromhex("37464c4f32313139303333373333")
    clock = values["0.0.1.0.0.255"].value.data
    assert clock.type is DataType.DATE_TIME
    assert clock.value.to_datetime(ZoneInfo("Europe/Brussels")).isoformat() == "2020-05-12T13:54:09+02:00"


@pytest.mark.parametrize(
    ("line", "type_", "raw"),
    [
        ("1-0:1.8.0(-00012.5*kWh)", DataType.DOUBLE_LONG, -125),
        ("1-0:1.8.0(9999999999.999*kWh)", DataType.LONG64_UNSIGNED, 9_999_999_999_999),
        ("1-0:1.8.0(1*furlong)", DataType.VISIBLE_STRING, "1*furlong"),
        ("0-0:96.1.1(no hex)", DataType.VISIBLE_STRING, "no hex"),
        ("0-0:96.1.1(0001)", DataType.VISIBLE_STRING, "0001"),
        ("0-0:96.13.0()", DataType.OCTET_STRING, b""),
        ("1-0:1.8.0*255(1)", DataType.DOUBLE_LONG_UNSIGNED, 1),
        ("0-0:1.0.0(200512135409)", DataType.DATE_TIME, None),
        ("1-0:1.8.0(200512135409)", DataType.DOUBLE_LONG_UNSIGNED, None),
    ],
)
def test_one_line(line: str, type_: DataType, raw: Any) -> None:
    (found,) = telegram_values(telegram(line))
    assert found.value.obis == (Obis.parse("1.0.1.6.0.255") if "1.6.0" in line else found.value.obis)
    if raw is None:
        assert found.value.data.type in (type_, DataType.LONG64_UNSIGNED)
    else:
        assert found.value.data == (type_, raw)


def test_a_time_that_no_calendar_has() -> None:
    (found,) = telegram_values(telegram("1-0:1.6.0(632525252525W)(00.000*kW)"))
    assert found.value.data.plain() == ["632525252525W", "00.000*kW"]


def test_lines_that_are_none() -> None:
    assert telegram_values(telegram("nonsense", "1-0:1.8.0", "999-0:1.8.0(1)", "(00124.477)", "1-0:1.8.0(1)x")) == []


def test_without_a_crc() -> None:
    found = telegram("1-0:1.8.0(1*kWh)")
    assert found.crc is None
    assert found.identification == "XYZ5TEST"


@REAL
def test_bare_on_a_line(octets: bytes) -> None:
    stream = octets[40:] + octets + b"\x00\xff/~" + octets + octets
    assert messages(StreamDecoder().feed(stream)) == [octets] * 3
    decoder = StreamDecoder()
    found = [event for at in range(len(stream)) for event in decoder.feed(stream[at : at + 1])]
    assert messages(found) == [octets] * 3


def test_a_damaged_telegram_is_named_and_the_next_one_taken() -> None:
    damaged = LUXEMBOURG.replace(b"273.764", b"273.765")
    found = StreamDecoder().feed(damaged + LUXEMBOURG)
    assert messages(found) == [LUXEMBOURG]
    reasons = [event.reason for event in found if isinstance(event, FrameInfo)]
    assert reasons == ["the CRC of the telegram is wrong"]


def test_a_telegram_that_breaks_off() -> None:
    decoder = StreamDecoder()
    assert messages(decoder.feed(LUXEMBOURG[:300] + LUXEMBOURG)) == [LUXEMBOURG]
    assert messages(decoder.feed(LUXEMBOURG[:300], 1.0)) == []
    assert messages(decoder.feed(LUXEMBOURG, 11.0)) == [LUXEMBOURG]


@REAL
def test_decode_shows_it(octets: bytes) -> None:
    document = explain(octets)
    (message,) = document["messages"]
    assert not document["errors"]
    assert message["framing"] == "telegram"
    assert message["apdu"]["name"] == "telegram"
    assert message["values"] == explain(seal(octets), Keys(Secret(KEY)))["messages"][0]["values"]


def test_decode_opens_the_luxembourg_container() -> None:
    keys = Keys(Secret(KEY), Secret(PUBLISHED_AUTHENTICATION_KEY))
    document = explain(seal(LUXEMBOURG), keys)
    (message,) = document["messages"]
    assert message["ciphering"]["verified"] is True
    assert message["apdu"] == {"name": "telegram", "identification": "Lux5\\253663629_D", "crc": "80f6"}
    shown = {value["obis"]: value for value in message["values"]}
    assert shown["1.0.1.8.0.255"]["value"] == 273_764
    assert shown["1.0.1.8.0.255"]["unit"] == "Wh"
    assert shown["0.1.24.2.1.255"]["time"] == "2026-04-03T17:45:42"
    assert shown["1.1.31.4.0.255"]["raw"] == ["040*A", "-040*A"]


@given(st.binary(max_size=200), st.integers(0, 40))
def test_any_text_behind_a_head(noise: bytes, cut: int) -> None:
    decoder = StreamDecoder()
    decoder.feed(b"/ABC5x\r\n" + noise + b"\r\n!\r\n")
    decoder.feed(LUXEMBOURG[cut:])
    decoder.finish()
