"""Readouts in a stream of unknown kind: a meter of mode D, one with a button, somebody else who asks."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.cosem.data_lines import data_lines
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import encode_readout
from dlms_mqtt.protocol.framing.stream.decoder import FrameInfo, Message, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.p1_telegram import Telegram
from tests.client.services.test_readouts import PUBLISHED, octets

LINES = b"0.0.0(12345678)\r\nF.F(00)\r\n1.8.0(014864.1*kWh)\r\n1.7.0(01.250*kW)\r\n"
HEAD = b"/ISK5MT174\r\n"
#: One Actaris has control octets in its lines, which only somebody who asked for them takes.
IN_CHARACTERS = [case for case in PUBLISHED if "\x02" not in case.get("whole", "")]
READOUT = HEAD + encode_readout(LINES)


def of(data: bytes, step: int = 0, *, silence: bool = False) -> list[StreamEvent]:
    decoder = StreamDecoder()
    parts = [data[at : at + step] for at in range(0, len(data), step)] if step else [data]
    events = [event for number, part in enumerate(parts) for event in decoder.feed(part, number / 1000)]
    return [*events, *decoder.tick(1000.0)] if silence else events


def telegrams(events: list[StreamEvent]) -> list[Telegram]:
    return [Telegram.decode(event.apdu) for event in events if isinstance(event, Message)]


@pytest.mark.parametrize("coded", [bytes, add_parity], ids=["7e1", "8n1"])
@pytest.mark.parametrize("case", IN_CHARACTERS, ids=lambda case: case["name"])
def test_published(case: dict[str, Any], coded: Any) -> None:
    data = octets(case)
    (found,) = telegrams(of(coded(data), silence=True))
    lines = case.get("whole") or case["lines"]
    assert list(data_lines(found.text)) == list(data_lines(lines))
    assert found.identification == case.get("identification", "/XXX5")[1:].strip()


@pytest.mark.parametrize("step", [1, 7])
@pytest.mark.parametrize("coded", [bytes, add_parity], ids=["7e1", "8n1"])
@pytest.mark.parametrize("before", [b"", b"\xff\x7f\x00", b"/?!\r\n"], ids=["alone", "rubbish", "asked"])
def test_in_pieces(step: int, coded: Any, before: bytes) -> None:
    first, second = telegrams(of(coded(before + READOUT + READOUT), step))
    assert first == second
    assert first.identification == "ISK5MT174"
    assert len(list(data_lines(first.text))) == 4


def test_of_somebody_who_asks() -> None:
    """At one speed all of the sign-on is heard; where the speed changes, the data block alone."""
    (whole,) = telegrams(of(b"/?!\r\n" + HEAD + b"\x06000\r\n" + encode_readout(LINES), 1))
    assert whole.identification == "ISK5MT174"
    (alone,) = telegrams(of(b"\xf1\xe3" + encode_readout(LINES), 1))
    assert alone.identification == ""
    assert list(data_lines(alone.text)) == list(data_lines(whole.text))


def test_damage_is_told_and_the_next_one_read() -> None:
    damaged = READOUT.replace(b"14864", b"14964")
    events = of(damaged + READOUT)
    (frame,) = [event for event in events if isinstance(event, FrameInfo)]
    assert not frame.valid
    assert "check character" in frame.reason
    assert len(telegrams(events)) == 1


def test_without_its_end_it_is_none() -> None:
    assert not telegrams(of(READOUT[:-9], silence=True))
    assert telegrams(of(READOUT[:-1], silence=True))  # the check character alone may be missing


def test_the_octets_of_dlms_are_no_readout() -> None:
    """02 begins a structure; what follows is no line of a code and a value."""
    assert not telegrams(of(b"\x02\x04ABCD(\x03\x00", silence=True))
    assert not telegrams(of(b"\x02" + b"x" * 40 + b"\x03\x00", silence=True))
    assert not telegrams(of(b"\x02" + b"1.8.0(" + b"0" * 50_000, silence=True))
