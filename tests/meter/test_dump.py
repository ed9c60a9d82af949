"""A session that is kept: nothing in it names or opens the meter, whatever breaks off, and it can be read again."""

from __future__ import annotations

import itertools

import pytest
import yaml

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.dump import dump_session
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, read_frame
from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import PASSWORD, serve_memory
from dlms_mqtt.simulator.description import describe
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.dumped import SALT, SESSIONS, dumped, sign_on_dump


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("session", SESSIONS)
async def test_nothing_in_it_names_or_opens_the_meter(clock: FakeClock, framing: str, session: str) -> None:
    options = SESSIONS[session]
    document, meter = await dumped(framing, clock, **options)
    assert "error" not in document["facts"], document["facts"]
    text = yaml.safe_dump(document)
    hidden = [meter.name.encode(), meter.name[-8:].encode(), meter.title]
    hidden += [bytes(value) for value in options.values() if isinstance(value, Secret)]
    for value in hidden:
        assert value.hex() not in text, value
        assert value.decode("latin-1") not in text, value
    assert len(document["exchanges"]) > 1


@pytest.mark.parametrize("eight_bits", [False, True])
@pytest.mark.parametrize("password", [PASSWORD, Secret(b"wrong password")])
async def test_a_sign_on_tells_no_number(clock: FakeClock, eight_bits: bool, password: Secret) -> None:
    parity = {"parity": "none"} if eight_bits else {}
    document, number = await sign_on_dump(
        clock, eight_bits=eight_bits, client=32, authentication="low", password=password, **parity
    )
    for direction in "<>":
        stream = b"".join(bytes.fromhex(octets) for _, way, octets in document["frames"] if way == direction)
        assert number not in stream
        assert number not in strip_parity(stream)
    assert any(b"ME371-" in strip_parity(bytes.fromhex(octets)) for *_, octets in document["frames"])
    assert number.decode() not in str(document)


async def test_a_session_that_breaks_off_tells_no_number(clock: FakeClock) -> None:
    """The meter falls silent in the middle: what it had said of itself is replaced all the same."""
    meter = household(7, clock=clock)
    near, far = memory_pair()
    answers = 0

    def falls_silent(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal answers
        answers += 1
        return [(0.0, data)] if answers < 6 else []

    far.fault = falls_silent
    settings = ConnectionSettings(serial="x", client=17, retries=0, timeout=1)
    async with serve_memory(meter, far, "hdlc"):
        document = await dump_session(settings, transport=near, salt=SALT, objects=30)
    assert "error" in document["facts"]
    text = yaml.safe_dump(document)
    stream = b"".join(bytes.fromhex(octets)[11:-3] for _, way, octets in document["frames"] if way == "<")
    for value in (meter.name.encode(), meter.name[-8:].encode(), meter.title):
        assert value.hex() not in text
        assert value not in stream
    assert meter.name[:3].encode() in stream


async def test_a_number_in_octets_is_noted_before_the_session_breaks_off(clock: FakeClock) -> None:
    """Each object that names the meter is asked for alone: whatever was the last answer, nothing before it leaks."""
    number = "73918264"
    objects = [
        {"obis": f"0.0.96.1.{at}.255", "attributes": {2: ["octet-string", f"{number}{at:02x}"]}} for at in (5, 6)
    ]
    for last in range(4, 30):
        meter = describe({"kind": "bare", "objects": objects}, clock=clock).meter
        near, far = memory_pair()
        answers = itertools.count()
        far.fault = lambda data, answers=answers, last=last: [(0.0, data)] if next(answers) < last else []
        settings = ConnectionSettings(serial="x", client=17, retries=0, timeout=1, framing="wrapper")
        async with serve_memory(meter, far, "wrapper"):
            document = await dump_session(settings, transport=near, salt=SALT, objects=30)
        assert number not in str(document), last
    assert "error" not in document["facts"]


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_challenges_and_their_answers_are_crossed_out(clock: FakeClock, framing: str) -> None:
    """An MD5 sum over a challenge and a password lets anybody try passwords at home."""
    document, _ = await dumped(framing, clock, **SESSIONS["md5"])
    proof = bytes.fromhex(document["exchanges"][0][0])
    assert proof[4:5] == b"\x0f"  # reply_to_HLS of class 15
    assert proof.endswith(b"\x09\x10" + b"x" * 16)
    answer = bytes.fromhex(document["exchanges"][0][1])
    assert answer.endswith(b"\x09\x10" + b"x" * 16)
    octets = b"".join(bytes.fromhex(row[2]) for row in document["frames"])
    assert octets.count(b"x" * 16) == 4


async def test_check_sequences_are_made_anew(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, client=32, authentication="low", password=PASSWORD)
    assert len(document["frames"]) > 10
    for _seconds, direction, octets in document["frames"]:
        assert direction in "<>"
        assert type(read_frame(bytes.fromhex(octets), 0, final=True)) is Frame


async def test_a_ciphered_session_is_kept_in_plain(clock: FakeClock) -> None:
    document, _ = await dumped("wrapper", clock, **SESSIONS["ciphered"])
    assert document["frames"] == []
    assert "plain" in document["notes"][0]
    assert document["exchanges"][0][0].startswith(("c001", "c301", "c003"))


async def test_an_echo_is_no_answer(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, echo=True, client=16)
    for question, *answers in document["exchanges"]:
        assert question not in answers


async def test_a_session_that_fails_leaves_a_capture(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, client=32, authentication="low", password=Secret(b"wrong"))
    assert "refused" in document["facts"]["error"]
    assert document["frames"]
    assert b"wrong".hex() not in str(document)


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
async def test_the_title_that_was_expected_of_the_meter_is_replaced_too(clock: FakeClock, right: bool) -> None:
    title = household(7, clock=clock).title if right else b"XYZ\x12\x34\x56\x78\x9a"
    document, meter = await dumped("hdlc", clock, meter_system_title=title, **SESSIONS["ciphered"])
    assert ("error" in document["facts"]) is not right
    told = yaml.safe_dump(document)
    assert not [text for text in (title, meter.title) if text.hex() in told], document["facts"]
