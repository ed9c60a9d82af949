"""The HDLC link: set up, windows, segments, lost and repeated frames, and every way to lose it."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import ConfigError, LocalProtocolError
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, FrameParser, Kind, encode_frame
from dlms_mqtt.protocol.framing.hdlc.link import MAX_POLLS, MAX_STALLS, HdlcLink
from dlms_mqtt.protocol.framing.hdlc.parameters import encode_parameters
from dlms_mqtt.protocol.framing.hdlc.states import ACTIONS, Action, LinkState
from dlms_mqtt.protocol.framing.link import (
    Activity,
    Broken,
    LinkDown,
    LinkEvent,
    LinkParameters,
    LinkUp,
    Received,
    Side,
)
from dlms_mqtt.protocol.framing.statistics import Statistics
from tests.frames_data import entry

SERVER, CLIENT = b"\x03", b"\x21"


def events(link: HdlcLink) -> list[LinkEvent]:
    return list(iter(link.next_event, None))


def frames(data: bytes) -> list[Frame]:
    parser = FrameParser(Statistics())
    parser.feed(data)
    found = list(iter(parser.next, None))
    assert all(isinstance(frame, Frame) for frame in found)
    return found  # type: ignore[return-value]


def kinds(data: bytes) -> list[str]:
    return [f"{frame.kind.name}{'+' * frame.poll}" for frame in frames(data)]


def meter(control: int, information: bytes = b"", *, segmented: bool = False) -> bytes:
    return encode_frame(control, CLIENT, SERVER, information, segmented)


def information(send: int, receive: int, *, poll: bool = True) -> int:
    return receive << 5 | send << 1 | poll << 4


def ready(receive: int) -> int:
    return 0x11 | receive << 5


def client(**options: Any) -> HdlcLink:
    """A client of a meter that can do everything."""
    link = HdlcLink(Side.CLIENT, **options)
    link.connect()
    (snrm,) = frames(link.data_to_send())
    assert snrm.kind is Kind.SNRM
    link.receive(meter(0x73, encode_parameters(LinkParameters(2030, 2030, 7, 7)) if snrm.information else b""))
    (up,) = events(link)
    assert isinstance(up, LinkUp)
    return link


def pair(server_options: dict[str, Any] | None = None, **options: Any) -> tuple[HdlcLink, HdlcLink]:
    """Both ends, connected."""
    one, other = HdlcLink(Side.CLIENT, **options), HdlcLink(Side.SERVER, **(server_options or {}))
    one.connect()
    exchange(one, other)
    assert one.parameters.max_info_transmit == other.parameters.max_info_receive
    return one, other


def exchange(one: HdlcLink, other: HdlcLink, answers: dict[bytes, bytes] | None = None) -> tuple[list[bytes], int]:
    """Run until both are silent: what the client received, and how many turns it took."""
    received, turns = [], 0
    while question := one.data_to_send():
        turns += 1
        other.receive(question)
        for event in events(other):
            if isinstance(event, Received):
                other.send((answers or {})[event.apdu])
        one.receive(other.data_to_send())
        received += [event.apdu for event in events(one) if isinstance(event, Received)]
    return received, turns


# Setting the link up and down


def test_snrm_without_parameters_when_all_is_default() -> None:
    link = HdlcLink(Side.CLIENT, server=1, physical=17)
    link.connect()
    assert link.data_to_send().hex() == "7ea00802232193bd647e"
    assert link.data_to_send() == b""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_info_receive": 248}, "8180120501800601f807040000000108040000 0001"),
        ({"max_info_transmit": 2030, "window_receive": 3}, "818013050207ee06018007040000000108 0400000003"),
        ({"send_parameters": True}, "818012050180060180070400000001080400000001"),
    ],
)
def test_snrm_with_parameters(options: dict[str, Any], expected: str) -> None:
    link = HdlcLink(Side.CLIENT, **options)
    link.connect()
    assert frames(link.data_to_send())[0].information == bytes.fromhex(expected)


def test_parameters_can_be_left_out() -> None:
    link = HdlcLink(Side.CLIENT, max_info_receive=500, send_parameters=False)
    link.connect()
    assert frames(link.data_to_send())[0].information == b""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", LinkParameters()),
        (encode_parameters(LinkParameters(128, 62, 1, 1)), LinkParameters(62, 128, 1, 1)),
        (encode_parameters(LinkParameters(2030, 2030, 7, 7)), LinkParameters(500, 600, 2, 3)),
    ],
)
def test_ua_is_obeyed(answer: bytes, expected: LinkParameters) -> None:
    link = HdlcLink(Side.CLIENT, max_info_transmit=500, max_info_receive=600, window_transmit=2, window_receive=3)
    link.connect()
    link.data_to_send()
    link.receive(meter(0x73, answer))
    assert events(link) == [LinkUp(expected)]
    link.send(bytes(1000))
    sent = frames(link.data_to_send())
    assert len(sent) == expected.window_transmit
    assert all(len(frame.information) == expected.max_info_transmit for frame in sent)


def test_the_server_takes_the_lesser_of_both() -> None:
    one, other = pair(
        {"max_info_transmit": 300, "max_info_receive": 200, "window_transmit": 2},
        max_info_transmit=250,
        max_info_receive=250,
        window_receive=7,
    )
    assert other.parameters == LinkParameters(250, 200, 2, 1)
    assert one.parameters == LinkParameters(200, 250, 1, 2)


def test_send_needs_a_link() -> None:
    with pytest.raises(LocalProtocolError):
        HdlcLink(Side.CLIENT).send(b"\xc0")
    with pytest.raises(LocalProtocolError):
        HdlcLink(Side.SERVER).connect()
    with pytest.raises(ConfigError):
        HdlcLink(Side.CLIENT, server=1, physical=17, address_size=1)


def test_disconnect() -> None:
    one, other = pair()
    one.disconnect()
    other.receive(one.data_to_send())
    assert events(other) == [LinkDown("disc")]
    answer = other.data_to_send()
    assert kinds(answer) == ["UA+"]
    one.receive(answer)
    assert events(one) == [LinkDown("disc")]
    one.disconnect()  # allowed in any state: it frees a meter that is stuck
    other.receive(one.data_to_send())
    answer = other.data_to_send()
    assert kinds(answer) == ["DM+"]
    one.receive(answer)
    assert events(one) == [LinkDown("disc")]
    one.connect()
    exchange(one, other)
    assert one.state is other.state is LinkState.CONNECTED


@pytest.mark.parametrize("state", [LinkState.CONNECTING, LinkState.CONNECTED])
@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (meter(0x1F), "dm", "disconnected mode"),
        (meter(0x97, bytes.fromhex("107004")), "frmr", "10: information field too long"),
        (meter(0x97), "frmr", "rejected"),
    ],
)
def test_the_meter_drops_the_link(state: LinkState, answer: bytes, reason: str, detail: str) -> None:
    link = client()
    if state is LinkState.CONNECTING:
        link.connect()
    link.data_to_send()
    link.receive(answer)
    (down,) = events(link)
    assert isinstance(down, LinkDown)
    assert down.reason == reason
    assert detail in down.detail
    link.connect()  # and all numbers begin anew
    link.receive(meter(0x73))
    link.data_to_send()
    link.send(b"\xc0")
    assert frames(link.data_to_send())[0].control == 0x10


def test_a_server_that_was_never_called_answers_dm() -> None:
    server = HdlcLink(Side.SERVER)
    server.receive(encode_frame(0x10, SERVER, CLIENT, b"\xe6\xe6\x00\xc0"))
    server.receive(encode_frame(0x11, SERVER, CLIENT))
    assert kinds(server.data_to_send()) == ["DM+", "DM+"]
    assert events(server) == []


def test_a_new_snrm_begins_anew() -> None:
    one, other = pair()
    one.send(b"\xc0")
    exchange(one, other, {b"\xc0": b"\xc4"})
    one.connect()
    other.receive(one.data_to_send())
    down, up = events(other)
    assert isinstance(down, LinkDown)
    assert down.reason == "snrm"
    assert isinstance(up, LinkUp)
    one.receive(other.data_to_send())
    one.send(b"\xc0")
    assert exchange(one, other, {b"\xc0": b"\xc4"}) == ([b"\xc4"], 1)


def test_frmr_to_an_unknown_control_field() -> None:
    _, other = pair()
    other.receive(encode_frame(0xE3, SERVER, CLIENT))
    assert kinds(other.data_to_send()) == ["FRMR+"]
    (down,) = events(other)
    assert isinstance(down, LinkDown)
    assert down.reason == "frmr"


# Addresses


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"physical": 17},
        {"physical": 17, "address_size": 4},
        {"address_size": 2},
        {"physical": 5481},
        {"server": 127},
    ],
)
def test_addresses(options: dict[str, Any]) -> None:
    one = HdlcLink(Side.CLIENT, client=48, **options)
    other = HdlcLink(Side.SERVER, **{key: options[key] for key in options if key != "address_size"})
    one.connect()
    exchange(one, other)
    assert other.client == 48
    one.send(b"\xc0")
    assert exchange(one, other, {b"\xc0": b"\xc4"}) == ([b"\xc4"], 1)


def test_both_ends_have_the_same_number() -> None:
    one, other = pair({"server": 1}, client=1, server=1)
    one.send(b"\xc0")
    assert exchange(one, other, {b"\xc0": b"\xc4"}) == ([b"\xc4"], 1)


def test_a_broadcast_is_heard_and_not_answered() -> None:
    _, other = pair({"physical": 17}, physical=17)
    other.receive(encode_frame(0x13, encode_address(127, 127), CLIENT, b"\xe6\xe6\x00\xc1"))
    assert events(other) == [Received(b"\xc1", 16, 127, unnumbered=True)]
    assert other.data_to_send() == b""


def test_the_server_hears_only_what_is_for_it() -> None:
    server = HdlcLink(Side.SERVER, server=1, physical=17)
    for logical, physical in ((2, 17), (1, 18), (2, None)):
        other = HdlcLink(Side.CLIENT, server=logical, physical=physical)
        other.connect()
        server.receive(other.data_to_send())
        assert server.data_to_send() == b""


def test_another_client_is_refused_or_takes_over() -> None:
    _, server = pair()
    server.receive(encode_frame(0x10, SERVER, b"\x41", b"\xe6\xe6\x00\xc0"))
    (refusal,) = frames(server.data_to_send())
    assert (refusal.kind, refusal.destination) == (Kind.DM, b"\x41")
    server.receive(encode_frame(0x93, SERVER, b"\x41"))
    assert frames(server.data_to_send())[0].destination == b"\x41"
    assert server.client == 32


def test_an_answer_with_an_address_of_another_size() -> None:
    link = HdlcLink(Side.CLIENT, server=1, physical=17, address_size=4)
    link.connect()
    link.receive(encode_frame(0x73, CLIENT, b"\x02\x23"))
    assert isinstance(events(link)[0], LinkUp)


def test_other_meters_are_not_heard() -> None:
    link = client()
    link.receive(encode_frame(0x10, CLIENT, b"\x05", b"\xe6\xe7\x00\xc4"))
    link.receive(encode_frame(0x10, b"\x23", SERVER, b"\xe6\xe7\x00\xc4"))
    assert events(link) == [Broken("address"), Broken("client")]  # told, not taken
    link.receive(encode_frame(0x13, b"\x23", b"\x05", b"\xe6\xe7\x00\x0f"))
    assert events(link) == [Broken("push")]


@pytest.mark.parametrize("numbers", [(16, 1), (1, 1)])
def test_reflected_frames_are_dropped(numbers: tuple[int, int]) -> None:
    number, logical = numbers
    one = HdlcLink(Side.CLIENT, client=number, server=logical)
    other = HdlcLink(Side.SERVER, server=logical) if number != logical else None
    one.connect()
    snrm = one.data_to_send()
    one.receive(snrm)
    assert events(one) == []
    if other is None:
        one.receive(encode_frame(0x73, b"\x03", b"\x03"))
        events(one)
        one.send(b"\xc0")
        one.receive(one.data_to_send())
        assert events(one) == []
        one.receive(encode_frame(0x30, b"\x03", b"\x03", b"\xe6\xe7\x00\xc4"))
        assert events(one) == [Received(b"\xc4", 1, 1)]
        return
    other.receive(snrm)
    one.receive(snrm + other.data_to_send())
    one.send(b"\xc0")
    question = one.data_to_send()
    other.receive(question)
    events(other)
    other.send(b"\xc4")
    one.receive(question[:9])  # cut, too
    one.receive(question + other.data_to_send())
    assert events(one)[1:] == [Broken("check"), Received(b"\xc4", 1, 16)] or Received(b"\xc4", 1, 16) in events(one)


# Numbered frames


@pytest.mark.parametrize("window", range(1, 8))
@pytest.mark.parametrize("size", [10, 128, 2030])
def test_long_messages_both_ways(window: int, size: int) -> None:
    options = {
        "max_info_transmit": size,
        "max_info_receive": size,
        "window_transmit": window,
        "window_receive": window,
    }
    one, other = pair(options, **options)
    question, answer = bytes(range(256)) * 2, bytes(reversed(range(256))) * 8
    for _ in range(3):
        one.send(question)
        received, turns = exchange(one, other, {question: answer})
        assert received == [answer]
        segments = (-(-len(question + b"LLC") // size), -(-len(answer + b"LLC") // size))
        assert turns == -(-segments[0] // window) + -(-segments[1] // window) - 1


def test_one_turn_for_a_short_question() -> None:
    one, other = pair()
    for number in range(20):
        one.send(b"\xc0%c" % number)
        assert exchange(one, other, {b"\xc0%c" % number: b"\xc4"}) == ([b"\xc4"], 1)


def test_conversation_of_a_real_meter() -> None:
    talk = entry("conversations", "wirenboard-lls-temperature")["frames"]
    lines = [(who, bytes.fromhex(data)) for who, data in talk]
    first = frames(lines[0][1])[0]
    link = HdlcLink(Side.CLIENT, client=first.source[0] >> 1, server=1, physical=20)
    link.connect()
    link.data_to_send()
    delivered = []
    for who, data in lines[2:]:
        (frame,) = frames(data)
        if who == "meter":
            link.receive(data)
            delivered += [event for event in events(link) if isinstance(event, Received)]
            continue
        if frame.kind is Kind.I:
            link.send(frame.information[3:])
        if frame.kind is Kind.DISC:
            link.disconnect()
        if frame.kind is not Kind.SNRM:
            assert link.data_to_send() == data
    assert delivered


def test_lost_answer_then_the_same_frame_again() -> None:
    one, other = pair()
    one.send(b"\xc0")
    question = one.data_to_send()
    other.receive(question)
    assert len(events(other)) == 1
    other.send(b"\xc4")
    answer = other.data_to_send()
    assert one.repeat()
    assert one.data_to_send() == question
    other.receive(question)
    assert events(other) == []  # acknowledged again, not delivered twice
    assert other.data_to_send() == answer
    one.receive(answer + answer)
    assert events(one) == [Received(b"\xc4", 1, 16)]
    assert one.statistics.repeats == 1


def test_poll_for_a_lost_segment() -> None:
    link = client(window_receive=3)
    link.send(b"\xc0")
    link.data_to_send()
    link.receive(meter(information(0, 1, poll=False), b"\xe6\xe7\x00\xc4", segmented=True))
    assert events(link) == [Activity()]
    assert link.data_to_send() == b""  # the final bit has not come
    assert link.repeat()
    (poll,) = frames(link.data_to_send())
    assert (poll.kind, poll.receive_number) == (Kind.RR, 1)


def test_a_gap_in_a_window_is_asked_for_at_once() -> None:
    link = client(window_receive=3)
    link.send(b"\xc0")
    link.data_to_send()
    link.receive(meter(information(0, 1, poll=False), b"\xe6\xe7\x00a", segmented=True))
    link.receive(meter(information(2, 1), b"c"))
    (poll,) = frames(link.data_to_send())
    assert (poll.kind, poll.receive_number) == (Kind.RR, 1)
    link.receive(meter(information(1, 1, poll=False), b"b", segmented=True) + meter(information(2, 1), b"c"))
    assert events(link)[-1] == Received(b"abc", 1, 16)


def test_a_gap_in_our_window_is_sent_again() -> None:
    one, other = pair({"window_receive": 3, "max_info_receive": 4}, window_transmit=3)
    one.send(b"123456789")
    sent = frames(one.data_to_send())
    other.receive(sent[0].encode() + sent[2].encode())
    one.receive(other.data_to_send())
    assert [frame.control >> 1 & 7 for frame in frames(one.data_to_send())] == [1, 2]


@pytest.mark.parametrize("control", [ready(0), 0x19])
def test_rr_or_rej_without_progress_sends_again(control: int) -> None:
    link = client()
    link.send(b"\xc0")
    question = link.data_to_send()
    link.receive(meter(control))
    assert link.data_to_send() == question


@pytest.mark.parametrize("number", [7, 6, 3])
def test_an_acknowledgement_from_outside_the_window_says_nothing(number: int) -> None:
    """An old RR (or rubbish) must not make us believe that the meter has our frames."""
    link = client(max_info_transmit=20, max_info_receive=2030, window_transmit=2)
    link.send(bytes(50))
    first = link.data_to_send()
    link.receive(meter(ready(number)))
    assert link.data_to_send() == first


def test_a_meter_that_never_acknowledges() -> None:
    link = client()
    link.send(b"\xc0")
    for _ in range(MAX_STALLS + 1):
        assert link.data_to_send()
        link.receive(meter(ready(0)))
        events(link)
    assert link.data_to_send() == b""
    (down,) = events(link)
    assert isinstance(down, LinkDown)
    assert down.reason == "stuck"


def test_a_meter_whose_receive_number_never_moves() -> None:
    """As jDLMS's server: it answers each question and acknowledges none. An answered question is not sent again."""
    link = client()
    for number in range(20):
        link.send(b"\xc0%c" % number)
        (question,) = frames(link.data_to_send())
        assert (question.control, question.information[3:]) == (information(number % 8, number % 8), b"\xc0%c" % number)
        link.receive(meter(information(number % 8, 0), b"\xc4%c" % number))
        assert events(link) == [Received(b"\xc4%c" % number, 1, 16)]


def test_what_is_said_in_between_acknowledges_no_question() -> None:
    """A push instead of the answer: the question goes out again with its number, whatever else is to be sent."""
    link = client()
    link.send(b"\xc0")
    question = link.data_to_send()
    link.receive(meter(information(0, 0), b"\xc2"))
    assert events(link) == [Received(b"\xc2", 1, 16)]
    link.expect()
    link.send(b"\xc0\x02")
    (again,) = frames(link.data_to_send())
    assert (again.information, again.control) == (frames(question)[0].information, information(0, 1))


def test_not_ready_is_polled() -> None:
    link = client(max_info_transmit=10)
    link.send(bytes(12))
    link.data_to_send()
    link.receive(meter(0x35))  # RNR, N(R) 1
    for _ in range(MAX_POLLS):
        assert kinds(link.data_to_send()) == ["RR+"]
        link.receive(meter(0x35))
    assert link.data_to_send() == b""  # from here on the timer decides
    assert link.repeat()
    assert kinds(link.data_to_send()) == ["RR+"]
    link.receive(meter(ready(1)))
    assert kinds(link.data_to_send()) == ["I+"]


def test_acknowledged_without_an_answer() -> None:
    one, other = pair()
    one.send(b"\xc0")
    other.receive(one.data_to_send())
    assert other.data_to_send() == b""  # nobody has looked at the question yet
    assert isinstance(events(other)[0], Received)
    busy = other.data_to_send()
    assert kinds(busy) == ["RR+"]
    one.receive(busy)
    poll = one.data_to_send()
    assert kinds(poll) == ["RR+"]
    other.send(b"\xc4")
    assert other.data_to_send() == b""  # it is not its turn
    other.receive(poll)
    one.receive(other.data_to_send())
    assert Received(b"\xc4", 1, 16) in events(one)


def test_several_messages_queue() -> None:
    one, other = pair({"window_receive": 7}, window_transmit=7)
    for number in range(5):
        one.send(bytes((number,)))
    other.receive(one.data_to_send())
    assert [event.apdu for event in events(other) if isinstance(event, Received)] == [bytes((n,)) for n in range(5)]


def test_a_forgotten_final_bit() -> None:
    link = client()
    link.send(b"\xc0")
    link.data_to_send()
    link.receive(meter(information(0, 1, poll=False), b"\xe6\xe7\x00\xc4"))
    assert Received(b"\xc4", 1, 16) in events(link)
    link.send(b"\xc1")
    assert kinds(link.data_to_send()) == ["I+"]


def test_no_llc_header() -> None:
    link = client()
    link.send(b"\xc0")
    link.data_to_send()
    link.receive(meter(information(0, 1), b"\xc4\x01"))
    assert Received(b"\xc4\x01", 1, 16) in events(link)


def test_unnumbered_information() -> None:
    one, other = pair()
    other.send_unnumbered(b"\x0f\x01")
    other.send_unnumbered(b"\x0f\x02", client=103)
    one.receive(other.data_to_send())
    assert events(one) == [Received(b"\x0f\x01", 1, 16, True), Received(b"\x0f\x02", 1, 103, True)]
    assert one.state is LinkState.CONNECTED


def test_broken_frames_are_counted() -> None:
    link = client()
    link.send(b"\xc0")
    link.data_to_send()
    good = meter(information(0, 1), b"\xe6\xe7\x00\xc4")
    bad = bytearray(good)
    bad[-4] ^= 1
    link.receive(bytes(bad))
    assert events(link) == [Broken("check")]
    assert link.statistics.bad_check == 1
    link.receive(b"\xff" * 3000 + good)
    assert Received(b"\xc4", 1, 16) in events(link)
    assert link.statistics.noise_bytes > 3000
    assert len(link.statistics.noise) == 256


def test_silence_inside_a_frame() -> None:
    link = client()
    link.send(b"\xc0")
    link.data_to_send()
    good = meter(information(0, 1), b"\xe6\xe7\x00" + bytes(50))
    link.receive(good[:30])
    link.quiet()
    assert events(link) == [Broken("cut")]
    link.receive(good[:-1])
    link.quiet()  # the closing flag is missing, the check sequences are right
    assert isinstance(events(link)[0], Received)


def test_a_message_without_end() -> None:
    link = client(max_info_receive=2030)
    link.send(b"\xc0")
    link.data_to_send()
    for number in range(600):
        link.receive(meter(information(number & 7, 1), bytes(2000), segmented=True))
        link.data_to_send()
        if any(isinstance(event, LinkDown) for event in events(link)):
            break
    assert number < 550


def test_repeat_when_there_is_nothing() -> None:
    assert not HdlcLink(Side.CLIENT).repeat()
    assert not HdlcLink(Side.SERVER).repeat()
    link = HdlcLink(Side.CLIENT)
    link.connect()
    snrm = link.data_to_send()
    assert link.repeat()
    assert link.data_to_send() == snrm
    link.disconnect()
    disc = link.data_to_send()
    assert link.repeat()
    assert link.data_to_send() == disc


def test_keep_alive() -> None:
    one, other = pair()
    assert one.repeat()
    other.receive(one.data_to_send())
    one.receive(other.data_to_send())
    assert events(one) == [Activity()]
    assert one.data_to_send() == b""


def test_every_action_of_the_table_exists() -> None:
    for side, states in ACTIONS.items():
        link = HdlcLink(side)
        for actions in states.values():
            assert set(actions.values()) <= set(link._actions)
    assert set(link._actions) == set(Action)
