"""What came after a question: each kind of evidence by octets that show it, the surest first."""

from __future__ import annotations

import pytest

from dlms_mqtt.meter.finder.evidence import Evidence, answer, answers, judge, odd_parameters, station
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.protocol.framing.hdlc.parameters import encode_parameters
from dlms_mqtt.protocol.framing.link import LinkParameters
from dlms_mqtt.protocol.framing.seven_bit import add_parity

CLIENT, METER = b"\x21", b"\x03"
SNRM = encode_frame(Kind.SNRM | POLL, METER, CLIENT, b"")
PARAMETERS = encode_parameters(LinkParameters())
UA = encode_frame(Kind.UA | POLL, CLIENT, METER, PARAMETERS)
DM = encode_frame(Kind.DM | POLL, CLIENT, METER, b"")
READOUT = b"\x02" + b"1-0:1.8.0(000012.5*kWh)\r\n!\r\n\x03"


@pytest.mark.parametrize(
    ("received", "evidence"),
    [
        (b"", Evidence.NOTHING),
        (b"\x00\x00", Evidence.NOTHING),
        (SNRM, Evidence.ECHO),
        (SNRM + UA, Evidence.UA),
        (UA, Evidence.UA),
        (DM, Evidence.DM),
        (b"\xff\x00" + UA, Evidence.UA),
        (encode_frame(Kind.UI, b"\x03", b"\x21", b"\xe6\xe7\x00\x0f\x00"), Evidence.PUSH),
        (bytes.fromhex("0001000100100002 0f00"), Evidence.WRAPPER),
        (b"/LGZ5ZMD120\r\n", Evidence.IDENTIFICATION),
        (READOUT, Evidence.READOUT),
        (add_parity(READOUT), Evidence.READOUT),
        (bytes(octet & 0x7F for octet in SNRM), Evidence.SEVEN_BITS),
        (UA[:-3] + bytes((UA[-3] ^ 1,)) + UA[-2:], Evidence.DAMAGED),
        (b"\x55\xab\x12\x99\x80", Evidence.GARBLED),
    ],
)
def test_what_was_seen(received: bytes, evidence: Evidence) -> None:
    assert judge(SNRM, received).evidence == evidence


def test_our_own_octets_are_taken_off() -> None:
    seen = judge(SNRM, SNRM + DM)
    assert (seen.evidence, seen.received, seen.echo) == (Evidence.DM, DM, True)
    assert judge(SNRM, DM).echo is False


def test_an_answer_is_known_as_soon_as_it_is_whole() -> None:
    for size in range(len(UA)):
        assert answer(UA[:size]) is None
    found = answer(UA)
    assert found is not None and found.frame is not None
    assert station(found.frame) == (1, None, 1)
    assert answer(SNRM) is None


def test_a_burst_may_get_several_answers() -> None:
    assert [frame.kind for frame in answers(UA + b"\x00" + DM)] == [Kind.UA, Kind.DM]


@pytest.mark.parametrize(
    ("information", "odd"),
    [
        (PARAMETERS, False),
        (b"", True),
        (bytes.fromhex("818006070101080101"), True),
        (bytes.fromhex("818014050180060180070400000001080400000001") + b"\x00", True),
    ],
)
def test_odd_parameters(information: bytes, odd: bool) -> None:
    (frame,) = answers(encode_frame(Kind.UA | POLL, CLIENT, METER, information))
    assert odd_parameters(frame) is odd
