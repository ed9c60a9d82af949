"""What is written of a session: questions with answers, frames with times, proofs crossed out, checks made anew."""

from __future__ import annotations

import itertools

import pytest

from dlms_mqtt.client.capture.anonymiser import Anonymiser
from dlms_mqtt.client.capture.document import capture_document
from dlms_mqtt.client.capture.recorder import Recorder
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
from dlms_mqtt.meter.dump import dump_session
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, read_frame
from dlms_mqtt.simulator import PASSWORD, serve_memory
from dlms_mqtt.simulator.description import describe
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.dumped import SALT, SESSIONS, dumped


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


def test_nothing_names_the_line() -> None:
    """Nor where it calls us."""
    for line in ({"serial": "/dev/ttyUSB0"}, {"tcp": "192.0.2.5"}, {"udp": "192.0.2.5"}, {"bind": "tcp://192.0.2.7:9"}):
        settings = parse_settings(line | {"server": 17})
        document = capture_document(Recorder(memory_pair()[0], float), settings, {}, Anonymiser((), (), SALT), {})
        assert document["connection"] == {"framing": settings.link_framing, "client": 16, "server": 17}


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


async def test_of_a_gmac_proof_the_tag_is_crossed_out(clock: FakeClock) -> None:
    """Its counter is often a small number, which is found in questions and answers too and must stay there."""
    document, _ = await dumped("wrapper", clock, **SESSIONS["ciphered"])
    for message in document["exchanges"][1]:
        _, _, proof = bytes.fromhex(message).partition(b"\x09\x11\x10")  # security control: authentication only
        assert int.from_bytes(proof[:4], "big") < 100
        assert proof[4:] == b"x" * 12


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
