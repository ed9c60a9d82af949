"""Two HDLC ends over a line that loses, doubles and garbles: every APDU arrives exactly once, or the link is down."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkDown, LinkUp, Received, Side

FAULTS = st.sampled_from(["good"] * 8 + ["lost", "doubled", "cut", "garbled", "headless", "glued"])
RETRIES = 40


class Line:
    """One direction, with one fault for each transmission while the list lasts."""

    def __init__(self, faults: list[str]) -> None:
        self._faults: Iterator[str] = iter(faults)
        self._late = b""

    def carry(self, data: bytes) -> bytes:
        fault = next(self._faults, "good")
        late, self._late = self._late, b""
        middle = len(data) // 2
        if fault == "glued":  # comes together with the next one
            self._late = late + data
            return b""
        return (
            late
            + {
                "good": data,
                "lost": b"",
                "doubled": data + data,
                "cut": data[:middle],
                "headless": data[3:],
                "garbled": data[:middle] + bytes((data[middle] ^ 0x24,)) + data[middle + 1 :],
            }[fault]
        )


class Talk:
    """A client with questions, a meter with answers, and the two directions between them."""

    def __init__(self, there: list[str], back: list[str], window: int, size: int) -> None:
        options = {
            "max_info_transmit": size,
            "max_info_receive": size,
            "window_transmit": window,
            "window_receive": window,
        }
        self.client, self.server = HdlcLink(Side.CLIENT, **options), HdlcLink(Side.SERVER, **options)
        self.there, self.back = Line(there), Line(back)
        self.requests: list[bytes] = []
        self.answered: list[bytes] = []
        self.up = self.down = False

    def turn(self) -> bool:
        """One transmission each way; False: the client has nothing to say."""
        data = self.client.data_to_send()
        if not data:
            return False
        self.server.receive(self.there.carry(data))
        while (event := self.server.next_event()) is not None:
            if isinstance(event, Received):
                self.requests.append(event.apdu)
                self.server.send(answer_to(event.apdu))
        back = self.server.data_to_send()
        if back:
            self.client.receive(self.back.carry(back))
        while (event := self.client.next_event()) is not None:
            self.up = self.up or isinstance(event, LinkUp)
            self.down = self.down or isinstance(event, LinkDown)
            if isinstance(event, Received):
                self.answered.append(event.apdu)
        return True

    def until(self, count: int) -> None:
        """Drive, repeating on silence, until so many answers are there or the link is down."""
        for _ in range(RETRIES):
            while self.turn():
                pass
            if self.down or (len(self.answered) == count and self.up):
                return
            self.server.quiet()
            assert self.client.repeat()
        raise AssertionError("the link hangs")


def answer_to(question: bytes) -> bytes:
    return b"\xc4" + question[::-1] * 2


@settings(max_examples=150)
@example(there=["good"] + ["lost"] * 5, back=["good"] + ["lost"] * 6, window=1, size=9, count=1, length=1)
@example(there=["good"] + ["lost"] * 30, back=["good"], window=3, size=40, count=2, length=100)
@given(
    st.lists(FAULTS, max_size=25),
    st.lists(FAULTS, max_size=25),
    st.sampled_from([1, 2, 3, 7]),
    st.sampled_from([9, 40, 300]),
    st.integers(1, 4),
    st.integers(1, 120),
)
def test_exactly_once_or_link_down(
    there: list[str], back: list[str], window: int, size: int, count: int, length: int
) -> None:
    talk = Talk(there, back, window, size)
    questions = [bytes((number,)) * length for number in range(count)]
    talk.client.connect()
    talk.until(0)
    for number, question in enumerate(questions):
        if talk.down:
            break
        talk.client.send(question)
        talk.until(number + 1)
    answers = [answer_to(question) for question in questions]
    assert talk.requests == questions[: len(talk.requests)]
    assert talk.answered == answers[: len(talk.answered)]
    assert talk.down or talk.answered == answers
