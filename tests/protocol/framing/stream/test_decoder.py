"""Streams of unknown kind: every capture, whole, octet by octet, in rubbish, mixed, and in time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.hdlc.address import decode_address
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.framing.mbus import MbusFrame
from dlms_mqtt.protocol.framing.stream.decoder import FrameInfo, Message, Rubbish, StreamDecoder, StreamEvent
from dlms_mqtt.protocol.framing.stream.reassembly import MAX_SIZE
from dlms_mqtt.protocol.framing.wrapper import encode_frame as wrap
from tests.frames_data import entries, entry, entry_id

PUSHED = entries("push")
PROVED = [item for item in PUSHED if item["framing"] in ("hdlc", "mbus")]
LLC = b"\xe6\xe7\x00"
PLAIN = bytes.fromhex("0f000000000c07e6011801123a32ff800080 020112000a".replace(" ", ""))
CONTAINER = bytes.fromhex("db084b464d1020003774") + b"\x20" + bytes.fromhex("2100000001") + bytes(27)


BARE_BLOCK = bytes.fromhex("e0400001000004aabbccdd")


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def run(*pieces: bytes, decoder: StreamDecoder | None = None) -> list[StreamEvent]:
    decoder = decoder or StreamDecoder()
    found: list[StreamEvent] = []
    for piece in pieces:
        found += decoder.feed(piece)
    return found + decoder.finish()


def messages(found: list[StreamEvent]) -> list[Message]:
    return [event for event in found if isinstance(event, Message)]


def loose(found: list[StreamEvent]) -> list[FrameInfo]:
    return [event for event in found if isinstance(event, FrameInfo)]


def rubbish(found: list[StreamEvent]) -> bytes:
    return b"".join(event.data for event in found if isinstance(event, Rubbish))


def framing(item: dict) -> str:
    return "wrapper" if item["framing"].startswith("wrapper") else item["framing"]


@pytest.mark.parametrize("item", PUSHED, ids=entry_id)
def test_every_push_is_one_message(item: dict) -> None:
    data, expected = bytes.fromhex(item["hex"]), item["expected"]
    found = run(data)
    (message,) = messages(found)
    assert not loose(found)
    assert message.framing == framing(item)
    assert message.apdu[0] in (0x0F, 0xDB)
    assert all(frame.valid for frame in message.frames)
    assert len(message.frames) == len(expected.get("frames", [0]))
    assert messages(run(*octets(data))) == [message]
    if "leading_enum" not in expected:  # that one is not plain A-XDR: where it ends only silence tells
        assert messages(run(data, data, data)) == [message] * 3


@pytest.mark.parametrize("item", PROVED, ids=entry_id)
def test_in_rubbish(item: dict) -> None:
    data = bytes.fromhex(item["hex"])
    wanted = messages(run(data))
    for before, after in ((b"\xff\x00~\x13", b"\x00\x01"), (b"\x0f\x01\x02", b"h"), (b"h\x05\x05", b"~\xa0~~\x99")):
        stream = before + data + after + data
        assert messages(run(stream)) == wanted * 2
        assert messages(run(*octets(stream))) == wanted * 2


@pytest.mark.parametrize("item", entries("push", framing="hdlc"), ids=entry_id)
def test_hdlc_frames(item: dict) -> None:
    (message,) = messages(run(bytes.fromhex(item["hex"])))
    for frame, expected in zip(message.frames, item["expected"]["frames"], strict=True):
        assert (frame.type, frame.segmented) == (expected["type"], expected["segmented"])
        assert frame.source == str(decode_address(bytes.fromhex(expected["src"])))
        assert frame.destination == str(decode_address(bytes.fromhex(expected["dst"])))
        assert len(frame.raw) == expected["length"] + 2


@pytest.mark.parametrize("item", entries("push", framing="mbus"), ids=entry_id)
def test_mbus_frames(item: dict) -> None:
    (message,) = messages(run(bytes.fromhex(item["hex"])))
    for frame, expected in zip(message.frames, item["expected"]["frames"], strict=True):
        assert (frame.source, frame.destination) == (str(expected["stsap"]), str(expected["dtsap"]))
        assert len(frame.raw) == expected["length"] + 6


@pytest.mark.parametrize("item", [i for i in PUSHED if "general_block_transfer" in i["expected"]], ids=entry_id)
def test_general_blocks(item: dict) -> None:
    (message,) = messages(run(bytes.fromhex(item["hex"])))
    for block, expected in zip(message.blocks, item["expected"]["general_block_transfer"], strict=True):
        assert (block.number, block.acknowledged) == (expected["block"], expected["ack"])
        assert (block.last, block.streaming) == (expected["last"], expected["streaming"])
        assert (block.window, len(block.data)) == (expected["window"], expected["length"])
    assert message.apdu == b"".join(block.data for block in message.blocks)


@pytest.mark.parametrize("item", entries("malformed"), ids=entry_id)
def test_malformed(item: dict) -> None:
    data, expected = bytes.fromhex(item["hex"]), item["expected"]
    found = run(data)
    assert messages(found) == messages(run(*octets(data)))
    assert loose(found) == loose(run(*octets(data)))
    valid = [frame for event in messages(found) for frame in event.frames]
    valid += [frame for frame in loose(found) if frame.valid]
    if "frames" in expected:
        assert len(valid) == expected["frames"]
    if expected.get("frames") == 0 or expected.get("fcs_ok") is False:
        assert messages(found) == []
    if expected.get("complete") is False or "general block" in item["problem"]:
        assert messages(found) == []
        assert all(frame.reason for frame in loose(found))
    if expected.get("fcs_ok"):
        assert len(messages(found)) == 1


def test_conversations() -> None:
    for talk in entries("conversations"):
        stream = b"".join(bytes.fromhex(data) for _, data in talk["frames"])
        found = run(stream)
        frames = [frame for event in messages(found) for frame in event.frames] + loose(found)
        assert len(frames) == len(talk["frames"])
        assert all(frame.valid for frame in frames)
        assert rubbish(found) == b""
        assert all(event.apdu for event in messages(found))


@pytest.mark.parametrize("item", PROVED, ids=entry_id)
def test_entered_in_the_middle(item: dict) -> None:
    """Whoever opens a line hears the end of a message first, and a meter that starts may cut one."""
    data = bytes.fromhex(item["hex"])
    (wanted,) = messages(run(data))
    for cut in range(1, len(data) - 1, 5):
        only(wanted, run(data[cut:], data))
        only(wanted, run(data[:cut], data))
        decoder = StreamDecoder()
        only(wanted, decoder.feed(data[cut:], 0.0) + decoder.tick(5.0) + decoder.feed(data, 6.0))


def only(wanted: Message, found: list[StreamEvent]) -> None:
    """The message as it was sent; before it at most its ciphered container, whose own lengths say that it is whole."""
    *before, last = messages(found)
    assert last == wanted
    assert all(message.apdu == wanted.apdu for message in before)


def test_a_segment_that_is_missing_at_the_beginning() -> None:
    """The second one may begin with any octet, one that begins an APDU too."""
    for item in PROVED:
        (message,) = messages(run(bytes.fromhex(item["hex"])))
        pieces = [frame.raw for frame in message.frames]
        if message.frames[0].segmented:
            assert messages(run(b"".join(pieces[1:]) + bytes.fromhex(item["hex"]))) == [message]
            assert messages(run(b"".join(pieces) + pieces[-1])) == [message]


@pytest.mark.parametrize(
    "text",
    [
        "060000",  # a Write of nothing
        "0f00161b020309060100",  # a notification with a time of two octets
        "0f06000000000600013581",  # one of a number that no list holds
        "108093e6e700",  # a confirmation of nothing that was said
        "36333134303137353339383509084d41333034",  # digits as a ciphered service
        "d80a3a",  # an error that there is not
        "0001220000000009060101200700ff1200",  # a wrapper between ports that nobody uses, around no APDU
    ],
)
def test_octets_that_fit_by_chance_begin_no_stream(text: str) -> None:
    decoder, data = StreamDecoder(), bytes.fromhex(text)
    assert messages(decoder.feed(data, 0.0)) == []
    assert messages(decoder.tick(5.0)) == []
    assert len(messages(decoder.feed(ui(LLC + PLAIN), 6.0))) == 1


@pytest.mark.parametrize(
    "text", ["c401c10006000000050000", "cc1f30000000494411223344556677889900112233445566778899", "060000"]
)
def test_what_is_given_alone_is_taken_for_what_it_looks_like(text: str) -> None:
    assert len(messages(run(bytes.fromhex(text)))) == 1
    assert len(messages(StreamDecoder().feed(bytes.fromhex(text), whole=True))) == 1


def ui(data: bytes, *, segmented: bool = False, source: bytes = b"\x03") -> bytes:
    return encode_frame(0x13, b"\x21", source, data, segmented)


def test_segments_of_two_senders() -> None:
    one, other = b"\x03", b"\x05"
    stream = (
        ui(LLC + b"\x0fone", segmented=True, source=one)
        + ui(LLC + b"\x0ftwo", segmented=True, source=other)
        + ui(b" end", source=one)
        + ui(b" end", source=other)
    )
    assert [message.apdu for message in messages(run(stream))] == [b"\x0fone end", b"\x0ftwo end"]


def test_a_new_message_ends_an_unfinished_one() -> None:
    found = run(ui(LLC + b"\x0fold", segmented=True) + ui(LLC + b"\x0fnew"))
    assert [message.apdu for message in messages(found)] == [b"\x0fnew"]
    assert [frame.reason for frame in loose(found)] == ["the message never ended"]


def test_a_segment_sent_again() -> None:
    first = ui(LLC + b"\x0fa", segmented=True)
    found = run(first + first + ui(b"b"))
    assert [message.apdu for message in messages(found)] == [b"\x0fab"]
    assert [frame.reason for frame in loose(found)] == ["sent again"]


def test_the_end_of_a_message_alone() -> None:
    found = run(ui(b"\xffend"))
    assert messages(found) == []
    assert loose(found)[0].reason == "the beginning of the message is missing"


def test_parts_are_given_up_in_time() -> None:
    decoder = StreamDecoder(message_timeout=10)
    assert decoder.feed(ui(LLC + b"\x0fa", segmented=True), 0) == []
    assert decoder.tick(9) == []
    assert [frame.reason for frame in loose(decoder.tick(11))] == ["the message never ended"]
    assert loose(decoder.feed(ui(b"b"), 12)) == [] or messages(decoder.feed(b"", 12)) == []


def test_a_frame_with_pauses_between_its_parts() -> None:
    decoder = StreamDecoder(octet_timeout=3, message_timeout=30)
    first, second = ui(LLC + b"\x0fa", segmented=True), ui(b"b")
    assert decoder.feed(first, 0) == []
    assert decoder.feed(second[:5], 20) == []
    (message,) = decoder.feed(second[5:], 22)
    assert isinstance(message, Message)
    assert message.apdu == b"\x0fab"
    assert decoder.feed(second[:5], 30) == []
    (late,) = messages(decoder.feed(first[:5] + ui(LLC + b"\x0fc"), 40))
    assert late.apdu == b"\x0fc"


def block(number: int, data: bytes, *, last: bool = False) -> bytes:
    return bytes((0xE0, 0x40 | last << 7)) + number.to_bytes(2, "big") + b"\0\0" + bytes((len(data),)) + data


def test_blocks_that_are_sent_again() -> None:
    first, second, third = ui(LLC + block(1, b"\x0fa")), ui(block(2, b"b")), ui(block(3, b"c", last=True))
    for stream in (first + first + second + second + third, first + third + second + third):
        (message,) = messages(run(stream))
        assert message.apdu == b"\x0fabc"
        assert [part.number for part in message.blocks] == [1, 2, 3]


def test_blocks_in_a_wrong_order_are_not_taken_for_a_message() -> None:
    """A published capture: blocks of several pushes, which only together have all numbers."""
    order = [(1, b"\x0fa"), (2, b"b"), (2, b"b"), (4, b"d"), (3, b"c")]
    found = run(*(ui(block(number, data, last=number == 4)) for number, data in order))
    assert messages(found) == []
    reasons = [frame.reason for frame in loose(found)]
    assert (len(reasons), set(reasons)) == (5, {"sent again", "blocks of the message are missing"})


def test_blocks_in_one_frame() -> None:
    (message,) = messages(run(ui(LLC + block(1, b"\x0fa") + block(2, b"b", last=True))))
    assert message.apdu == b"\x0fab"


def test_a_new_first_block_begins_anew() -> None:
    stream = ui(LLC + block(1, b"\x0fold")) + ui(LLC + block(1, b"\x0fnew")) + ui(block(2, b"!", last=True))
    found = run(stream)
    assert [message.apdu for message in messages(found)] == [b"\x0fnew!"]
    assert len(loose(found)) == 1


@pytest.mark.parametrize(
    "lost",
    [
        [1],  # the line was opened in the middle, or the first block was damaged
        [2],
        [3],
        [1, 3],
        [4],
        [3, 5],
        [2, 5],
    ],
)
def test_blocks_of_two_messages_are_never_mixed(lost: list[int]) -> None:
    pushes = [(b"\x0fold", b"er.", b"!"), (b"\x0fnew", b"er?", b"?"), (b"\x0fthe", b" third", b" one")]
    sent = [ui(block(number, part, last=number == 3)) for push in pushes for number, part in enumerate(push, 1)]
    arrived = [frame for number, frame in enumerate(sent, 1) if number not in lost]
    found = [message.apdu for message in messages(run(*arrived))]
    whole = [
        b"".join(push) for at, push in enumerate(pushes) if not any(n in lost for n in range(at * 3 + 1, at * 3 + 4))
    ]
    assert found == whole


def test_an_acknowledging_block_is_a_message() -> None:
    empty = block(1, b"", last=True)
    assert [message.apdu for message in messages(run(ui(LLC + empty)))] == [empty]


def mbus(number: int, data: bytes, *, final: bool) -> bytes:
    return MbusFrame(0, 0x53, 0xFF, number | final << 4, 1, 103, data, False).encode()


def test_mbus_segments() -> None:
    first, second, third = mbus(0, b"\x0fa", final=False), mbus(1, b"b", final=False), mbus(2, b"c", final=True)
    assert [message.apdu for message in messages(run(first + b"\xe5" + second + third))] == [b"\x0fabc"]
    assert messages(run(first + third)) == []  # one is missing
    assert [message.apdu for message in messages(run(first + first + second + third))] == [b"\x0fabc"]
    reasons = [frame.reason for frame in loose(run(second + third))]
    assert reasons == ["the beginning of the message is missing"] * 2


def test_mbus_with_a_wrong_checksum() -> None:
    good = mbus(0, b"\x0fa", final=True)
    bad = bytearray(good)
    bad[-3] ^= 1
    found = run(bytes(bad) + good)
    assert len(messages(found)) == 1
    assert [frame.reason for frame in loose(found)] == ["the checksum is wrong"]


def test_wrapper_frames_in_rubbish() -> None:
    stream = b"\xff\x00" + wrap(PLAIN, 1, 16) + b"\x99\x00" + wrap(CONTAINER, 1, 103)
    assert [message.apdu for message in messages(run(stream))] == [PLAIN, CONTAINER]
    assert [message.apdu for message in messages(run(*octets(stream)))] == [PLAIN, CONTAINER]
    (message,) = messages(run(wrap(PLAIN, 0x1234, 0x4321)))
    assert (message.source, message.destination) == (str(0x1234), str(0x4321))


def test_containers_one_after_another_in_rubbish() -> None:
    stream = b"\x99" + CONTAINER + CONTAINER + b"\r\n" + CONTAINER
    for pieces in ([stream], octets(stream)):
        found = run(*pieces)
        assert [message.apdu for message in messages(found)] == [CONTAINER] * 3
        assert rubbish(found) == b"\x99\r\n"


def test_bare_apdus_one_after_another() -> None:
    stream = PLAIN + LLC + PLAIN + PLAIN
    for pieces in ([stream], octets(stream)):
        assert [message.apdu for message in messages(run(*pieces))] == [PLAIN] * 3


def test_bare_apdus_do_not_hide_in_damaged_frames() -> None:
    frame = bytearray(ui(LLC + CONTAINER))
    frame[-4] ^= 1
    found = run(bytes(frame))
    assert messages(found) == []
    assert loose(found)[0].reason == "the frame check sequence is wrong"


@pytest.mark.parametrize("piece", [PLAIN, BARE_BLOCK, CONTAINER], ids=["push", "block", "sealed"])
def test_a_long_capture_without_framing_takes_time_in_proportion(piece: bytes) -> None:
    start = time.process_time()
    found = run(piece * 4000)
    assert len(messages(found)) + len(loose(found)) >= 4000
    assert time.process_time() - start < 3


def test_datagrams_end_where_they_end() -> None:
    decoder = StreamDecoder()
    cut = wrap(PLAIN, 1, 16)[:-3]
    assert messages(decoder.feed(cut, whole=True)) == []
    assert len(messages(decoder.feed(wrap(PLAIN, 1, 16), whole=True))) == 1


def test_only_some_framings() -> None:
    assert messages(run(wrap(PLAIN, 1, 16), decoder=StreamDecoder(["hdlc", "mbus"]))) == []
    assert len(messages(run(ui(LLC + PLAIN), decoder=StreamDecoder(["hdlc", "mbus"])))) == 1


def test_link_frames_are_listed() -> None:
    snrm = encode_frame(0x93, b"\x03", b"\x21")
    (frame,) = run(snrm)
    assert frame == FrameInfo("hdlc", "SNRM", "16", "1", raw=snrm)


PIECES = [bytes.fromhex(entry("push_kaifa", "dlmsparser-mbus-netz-noe-p1")["hex"]), ui(LLC + PLAIN), wrap(PLAIN, 1, 16)]
PIECES += [CONTAINER, b"~\xa0", b"h\x09\x09h", b"\x00\x01\x00\x01", b"\xdb\x08", b"\x0f", LLC, ui(LLC + block(1, b"a"))]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=12))
def test_nothing_is_lost_and_nothing_raises(pieces: list[bytes]) -> None:
    found = run(*pieces)
    seen = rubbish(found) + b"".join(frame.raw for event in messages(found) for frame in event.frames)
    assert (
        sum(map(len, pieces)) - 2 * len(pieces) - 12 <= len(seen) + sum(len(frame.raw) for frame in loose(found)) + 99
    )


def test_memory_is_bounded() -> None:
    decoder = StreamDecoder()
    for number in range(400):
        decoder.feed(ui(LLC + bytes(2000), segmented=True, source=bytes((number & 0x7F, number >> 7 << 1 | 1))), number)
    assert len(decoder._segments._parts) <= 33
    for number in range(200):
        decoder.feed(ui(LLC[:number] + bytes((number,)) * 2000, segmented=True), number)
    assert all(parts.size() <= 1 << 18 for parts in decoder._segments._parts.values())


def test_a_message_without_end_is_given_up() -> None:
    """Segments without a last one must not fill the memory, however fast they come."""
    decoder = StreamDecoder()
    parts = [LLC + bytes(1997), *[bytes(2000)] * 99]
    segments = [encode_frame(number % 8 << 1, b"\x21", b"\x03", part, True) for number, part in enumerate(parts)]
    found = [event for piece in segments for event in decoder.feed(piece)]
    assert not messages(found)
    given_up = [frame for frame in loose(found) if frame.reason == "the message never ended"]
    assert len(given_up) == MAX_SIZE // 2000 + 1
