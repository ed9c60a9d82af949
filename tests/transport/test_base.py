"""What every line has: the box it fills (what came is read before the end is told), a UART's time, its address."""

from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.errors import ConfigError, ConnectionLost, ResponseTimeout
from dlms_mqtt.transport.base import (
    MOST_WAITING,
    Inbox,
    SerialFormat,
    Transport,
    Uart,
    closed,
    format_address,
    parse_address,
)
from tests.fake_clock import FakeClock


async def test_the_last_words_of_a_peer_that_hangs_up_are_read() -> None:
    """Bytes and the end arrive together, before the waiting reader runs."""
    inbox = Inbox()
    reader = asyncio.create_task(inbox.read(5))
    await asyncio.sleep(0)
    inbox.feed(b"answer")
    inbox.fail(ConnectionLost("closed"))
    assert await reader == b"answer"
    with pytest.raises(ConnectionLost, match="closed"):
        await inbox.read(5)


async def test_the_first_cause_counts_and_each_reader_gets_its_own_error() -> None:
    inbox = Inbox()
    inbox.fail(ConnectionLost("first"))
    inbox.fail(ConnectionLost("second"))
    caught = []
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="first") as error:
            await inbox.read(None)
        caught.append(error.value)
    assert caught[0] is not caught[1]


async def test_after_a_timeout_reading_goes_on() -> None:
    inbox = Inbox()
    with pytest.raises(ResponseTimeout):
        await inbox.read(0.001)
    inbox.feed(b"a")
    inbox.feed(b"b")
    assert await inbox.read(5) == b"ab"


async def test_datagrams_are_read_one_by_one() -> None:
    inbox = Inbox(datagram=True)
    inbox.feed(b"a")
    inbox.feed(b"b")
    assert [await inbox.read(5), inbox.discard()] == [b"a", b"b"]


async def test_what_pours_out_and_is_not_taken_does_not_fill_the_memory() -> None:
    inbox = Inbox()
    for _ in range(100):
        inbox.feed(bytes(MOST_WAITING // 10))
    assert inbox.octets == sum(map(len, inbox.chunks)) <= MOST_WAITING
    assert len(await inbox.read(5)) == 10 * (MOST_WAITING // 10)
    inbox.feed(b"and on")
    assert await inbox.read(5) == b"and on" and inbox.octets == 0
    inbox.feed(bytes(3 * MOST_WAITING))  # in one piece it is there already
    assert len(await inbox.read(5)) == 3 * MOST_WAITING


async def test_datagrams_that_are_taken_leave_their_room() -> None:
    inbox = Inbox(datagram=True)
    for _ in range(40):
        inbox.feed(bytes(MOST_WAITING // 4))
        assert len(await inbox.read(5)) == MOST_WAITING // 4
    assert inbox.octets == 0


def test_bits_of_a_character() -> None:
    assert [SerialFormat(300, 7, "even").bits, SerialFormat().bits, SerialFormat(stop_bits=2).bits] == [10, 10, 11]
    assert SerialFormat(9600).seconds(96) == 0.1
    assert str(SerialFormat(300, 7, "even")) == "300 7E1"


@pytest.mark.parametrize("first", [0.5, 2.0, 60.0])
@pytest.mark.parametrize("second", [0.5, 2.0, 60.0])
async def test_each_read_waits_as_long_as_it_says(clock: FakeClock, first: float, second: float) -> None:
    inbox = Inbox()
    asyncio.get_running_loop().call_later(0.25, inbox.feed, b"early")
    assert await inbox.read(first) == b"early"
    with pytest.raises(ResponseTimeout, match=f"nothing came within {second:g} s"):
        await inbox.read(second)
    assert clock.elapsed == pytest.approx(0.25 + second)


async def test_a_read_without_a_limit_outlives_the_timer_of_the_one_before(clock: FakeClock) -> None:
    inbox = Inbox()
    inbox.feed(b"1")
    asyncio.get_running_loop().call_later(1, inbox.feed, b"2")
    asyncio.get_running_loop().call_later(100, inbox.feed, b"3")
    assert [await inbox.read(5), await inbox.read(5), await inbox.read(None)] == [b"1", b"2", b"3"]
    assert clock.elapsed == pytest.approx(100)


async def test_a_cancelled_read_leaves_the_box_in_order(clock: FakeClock) -> None:
    inbox = Inbox()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await inbox.read(5)
    asyncio.get_running_loop().call_later(10, inbox.feed, b"later")
    assert await inbox.read(20) == b"later"
    assert clock.elapsed == pytest.approx(11)


async def test_one_box_has_one_reader(clock: FakeClock) -> None:
    inbox = Inbox()
    first = asyncio.create_task(inbox.read(None))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="two tasks"):
        await inbox.read(1)
    inbox.feed(b"1")
    assert (await first, inbox.at_once(), inbox.error) == (b"1", b"", None)


async def test_a_timer_that_rings_late_finds_nobody_or_somebody_else(clock: FakeClock) -> None:
    """Bytes that come in the moment of the timeout are read; a shorter wait behind a longer one is not overslept."""
    inbox, loop = Inbox(), asyncio.get_running_loop()
    loop.call_at(5, inbox.feed, b"1")
    assert await inbox.read(5) == b"1"
    await asyncio.sleep(10)
    loop.call_later(1, inbox.feed, b"2")
    assert await inbox.read(100) == b"2"
    with pytest.raises(ResponseTimeout, match=r"within 0\.5 s"):
        await inbox.read(0.5)
    assert clock.elapsed == pytest.approx(5 + 10 + 1 + 0.5)


class Plain(Transport):
    """A line that has nothing but what each must have."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def drain(self) -> None:
        raise NotImplementedError

    async def read(self, timeout: float | None) -> bytes:
        raise NotImplementedError

    def discard(self) -> bytes:
        raise NotImplementedError


async def test_a_line_without_speed_takes_no_time_and_no_settings() -> None:
    async with Plain() as line:
        assert (line.lag, line.at_once(), line.format) == (0.0, b"", None)
        await line.configure(baud=300)
        await line.lines(dtr=True)
        await line.send_break()
        assert line.format is None
    assert line.calls == ["open", "close"]


async def test_octets_leave_a_uart_one_after_the_other(clock: FakeClock) -> None:
    uart = Uart(SerialFormat(9600))
    assert uart.lag == 0
    uart.write(960)
    uart.write(960)
    assert uart.lag == pytest.approx(2)
    await asyncio.sleep(1.5)
    assert uart.lag == pytest.approx(0.5)
    await asyncio.sleep(10)
    uart.format = SerialFormat(300)
    uart.write(30)
    assert (uart.lag, uart.first) == (pytest.approx(1), SerialFormat(9600))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("meter:10", ("meter", 10)),
        ("meter", ("meter", 4059)),
        ("meter.", ("meter.", 4059)),
        ("zähler:10", ("zähler", 10)),
        ("[fd00::5]:10", ("fd00::5", 10)),
        ("[fd00::5]", ("fd00::5", 4059)),
        ("fd00::5", ("fd00::5", 4059)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert parse_address(format_address(*address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", ":4059", "a..b:1", ".:1", "a" * 64, "meter:", "meter:0", "meter:65536", "meter:x"),
        *("[::1", "[::1]x", "[]:1", "ä" * 64, "ä..b", "ä\n", "a\nb"),
    ],
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="is no HOST:PORT"):
        parse_address(text)


def test_a_port_that_the_system_chooses() -> None:
    assert parse_address("box:0", least_port=0) == ("box", 0)
    assert closed("box:1").message == "box:1 is not open"
