from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.client.quality import SIZES, FrameSize, LineQuality, SessionFigures
from dlms_mqtt.errors import ConnectFailed, ConnectionLost
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.serial import SerialTransport
from tests.line import PacedPty

GOOD = SessionFigures(frames=40)
BAD = SessionFigures(frames=40, bad_check=5)


def test_nothing_is_known_before_the_first_session() -> None:
    figures = LineQuality().figures()
    assert figures.quality is None
    assert figures.sign_on_success is None
    assert figures.turn_round is None
    assert figures.hint == ""


def test_figures() -> None:
    line = LineQuality()
    line.add(SessionFigures(frames=80, bad_check=10, repeats=10, signed_on=True, turn_rounds=(0.1, 0.2, 0.9)))
    line.add(SessionFigures(frames=100, signed_on=False))
    figures = line.figures()
    assert figures.quality == pytest.approx(180 / 200)
    assert (figures.retries, figures.check_errors) == (10, 10)
    assert figures.sign_on_success == 0.5
    assert figures.turn_round == 0.2


def test_what_a_link_has_counted() -> None:
    statistics = Statistics(frames=7, bad_check=1, noise_bytes=9, repeats=2)
    assert SessionFigures.of(statistics, signed_on=True) == SessionFigures(7, 1, 2, 9, True)


def test_old_sessions_are_forgotten() -> None:
    line = LineQuality()
    for session in [BAD] * 5 + [GOOD] * 20:
        line.add(session)
    assert line.figures().quality == 1.0


@pytest.mark.parametrize(
    ("sessions", "words"),
    [
        ([GOOD] * 5, ""),
        ([BAD] * 2, "head has moved"),
        ([SessionFigures(frames=10, bad_check=1, noise=80)], "light is bad"),
        ([SessionFigures(signed_on=False)] * 2 + [GOOD], "sign-on"),
        ([SessionFigures(frames=20, repeats=4)], "wiring"),
        ([BAD] * 3 + [GOOD] * 5, ""),
        ([SessionFigures(frames=400, bad_check=2)], ""),
    ],
)
def test_hints(sessions: list[SessionFigures], words: str) -> None:
    line = LineQuality()
    for session in sessions:
        line.add(session)
    assert words in line.hint
    assert bool(line.hint) == bool(words)


def test_frames_get_shorter_on_errors_and_longer_after_quiet_times() -> None:
    size = FrameSize(128)
    assert size.max_info == 128
    size.session_ended(BAD)
    assert size.max_info == 64
    for _ in range(9):
        size.session_ended(GOOD)
    assert size.max_info == 64
    size.session_ended(GOOD)
    assert size.max_info == 128
    for _ in range(50):
        size.session_ended(GOOD)
    assert size.max_info == 128


def test_one_error_in_many_changes_nothing_but_begins_the_waiting_anew() -> None:
    size = FrameSize(1024)
    size.session_ended(BAD)
    for _ in range(9):
        size.session_ended(GOOD)
    size.session_ended(SessionFigures(frames=400, bad_check=1))
    size.session_ended(GOOD)
    assert size.max_info == 512


def test_there_is_a_shortest_frame() -> None:
    size = FrameSize(100)
    for _ in range(20):
        size.session_ended(BAD)
    assert size.max_info == SIZES[0]


def test_a_session_that_is_too_short_says_nothing() -> None:
    size = FrameSize(128)
    size.session_ended(SessionFigures(frames=1, bad_check=1))
    assert size.max_info == 128


def test_lost_questions_are_not_the_frames_fault() -> None:
    size = FrameSize(128)
    size.session_ended(SessionFigures(frames=20, repeats=5))
    assert size.max_info == 128


async def test_a_head_that_is_unplugged_comes_back_under_its_name(tmp_path: object) -> None:
    """The stable name is a link; the device behind it vanishes and another one takes its place."""
    from pathlib import Path

    stable = Path(str(tmp_path)) / "usb-probe-if00-port0"
    async with PacedPty(SerialFormat()) as first:
        stable.symlink_to(first.device)
        line = SerialTransport(str(stable))
        await line.open()
        first.unplug()
        with pytest.raises(ConnectionLost, match="has gone"):
            await line.read(60)
        await line.close()
        stable.unlink()
        with pytest.raises(ConnectFailed, match="there is no port"):
            await line.open()
    async with PacedPty(SerialFormat()) as second:
        stable.symlink_to(second.device)
        await line.open()
        line.write(b"/?!\r\n")
        received = b""
        async with asyncio.timeout(60):
            while len(received) < 5:
                received += await second.meter.read(60)
        assert received == b"/?!\r\n"
        await line.close()
