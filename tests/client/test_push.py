"""Pushes: every capture as it may come over a line, and everything that has to be refused, each with its own words."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.push import Push, PushReader, PushReaders, PushSource, Refused
from dlms_mqtt.errors import FramingError, SecurityError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest, VariableName
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.framing.mbus import MbusFrame
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.wrapper import encode_frame as wrap
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.p1_telegram import Telegram
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Cipher, Keys, PeerCounters, Security
from tests.frames_data import Entry, entries, entry, entry_id
from tests.meter.p1_telegrams import LUXEMBOURG

LLC = b"\xe6\xe7\x00"
TITLE, OTHER_TITLE = b"MDMabcde", b"MDMfghij"
KEYS = Keys(Secret(bytes(range(16))), Secret(bytes(range(16, 32))))
OTHER_KEYS = Keys(Secret(bytes(range(1, 17))), Secret(bytes(range(17, 33))))
GENERAL_CIPHERING = bytes.fromhex("dd0000000000000530000000011122")
PLAIN = DataNotification(7, None, bytes.fromhex("020209060100010800ff06000004d2")).encode()

PUSHES = entries("push")
#: without a published key nothing can be opened
OPEN = [item for item in PUSHES if "ciphering" not in item["expected"] or item.get("keys")]
CIPHERED = [item for item in OPEN if item.get("keys")]
LOCKED = [item for item in PUSHES if item not in OPEN]
#: frames that prove themselves: found among rubbish
PROVED = [item for item in OPEN if item["framing"] in ("hdlc", "mbus")]


def keys_of(item: Entry) -> Keys | None:
    texts = item.get("keys") or {}
    if not texts:
        return None
    return Keys(Secret.fromhex(texts["encryption"]), Secret.fromhex(texts.get("authentication", "")))


def reader_for(item: Entry) -> PushReader:
    """Captures whose authentication key is not published can only be opened on trust."""
    keys = keys_of(item)
    return PushReader("line", keys, accept_unauthenticated=keys is not None and not keys.authentication)


def octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def run(reader: PushReader, *pieces: bytes, whole: bool = False) -> list[Push | Refused]:
    found = [event for piece in pieces for event in reader.feed(piece, 0.0, whole=whole)]
    return found + reader.finish()


def one_push(found: list[Push | Refused]) -> Push:
    (push,) = found
    assert isinstance(push, Push)
    return push


def refusal(found: list[Push | Refused], reason: str) -> str:
    (refused,) = found
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, SecurityError)
    assert refused.error.reason == reason
    return refused.error.message


def cipher(keys: Keys = KEYS, title: bytes = TITLE, security: Security = Security.BOTH, start: int = 1) -> Cipher:
    counter = iter(range(start, 1_000_000))
    return Cipher(
        suite=0,
        security=security,
        keys=keys,
        system_title=title,
        next_counter=lambda: next(counter),
        form="general-global",
        warn=lambda _text: None,
    )


def ui(apdu: bytes, *, source: bytes = b"\x03", segmented: bool = False) -> bytes:
    return encode_frame(0x13, b"\xcf", source, apdu, segmented)


# -- captures --------------------------------------------------------------------------------------------------------


def check(push: Push, item: Entry) -> None:
    expected = item["expected"]
    assert isinstance(push.notification, DataNotification)
    notified = expected["notification"]
    assert f"{push.notification.long_invoke:08x}" == notified["long_invoke_id_and_priority"]
    time = (notified.get("date_time") or {}).get("raw")
    assert (push.notification.date_time or b"").hex() == (time or "")
    if "ciphering" in expected:
        assert push.opened.plaintext.hex() == expected["plaintext"]
        assert push.system_title.hex() == expected["ciphering"]["system_title"]
        keys = keys_of(item)
        tagged = expected["ciphering"]["authenticated"] and keys is not None and keys.authentication
        assert push.opened.verified is (True if tagged else None)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures without an authentication key are accepted with one warning; that has a test of its own."""
    monkeypatch.setattr("dlms_mqtt.client.push.log.warning", lambda _text: None)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("item", OPEN, ids=entry_id)
def test_every_push(item: Entry) -> None:
    data = bytes.fromhex(item["hex"])
    push = one_push(run(reader_for(item), data))
    check(push, item)
    assert one_push(run(reader_for(item), *octets(data))) == push
    assert one_push(run(reader_for(item), data[:7], data[7:20], data[20:])) == push
    if not item["framing"].startswith(("hdlc", "mbus")):
        assert one_push(run(reader_for(item), data, whole=True)) == push


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("item", PROVED, ids=entry_id)
def test_rubbish_around(item: Entry) -> None:
    data = bytes.fromhex(item["hex"])
    for rubbish in (b"\x00", b"\xff\x13h\x05", b"~\xa0~~\x99", b"/ABC5 \r\n1-0:", bytes(range(256))):
        for pieces in ([rubbish + data + rubbish], octets(rubbish + data + rubbish)):
            check(one_push(run(reader_for(item), *pieces)), item)


def test_many_of_one_line() -> None:
    items = [item for item in PROVED if not item.get("keys")]
    stream = b"\xff~".join(bytes.fromhex(item["hex"]) for item in items)
    reader = PushReader("line")
    found = run(reader, *[stream[at : at + 64] for at in range(0, len(stream), 64)])
    assert len(found) == len(items)
    for push, item in zip(found, items, strict=True):
        assert isinstance(push, Push)
        check(push, item)


@pytest.mark.parametrize("item", LOCKED, ids=entry_id)
def test_without_the_key(item: Entry) -> None:
    message = refusal(run(PushReader("line"), bytes.fromhex(item["hex"])), "key")
    assert message == "a ciphered push arrived, and no key is configured"


def test_several_in_one_frame() -> None:
    seal = cipher()
    apdus = [seal.protect_apdu(PLAIN) for _ in range(3)]
    frame = ui(b"".join(LLC + apdu for apdu in apdus))
    found = run(PushReader("line", KEYS), frame)
    assert [event.opened.invocation_counter for event in found if isinstance(event, Push)] == [1, 2, 3]
    assert len(run(PushReader("line"), ui(LLC + PLAIN + PLAIN))) == 2


@pytest.mark.parametrize("security", [Security.AUTHENTICATION, Security.BOTH])
def test_wrapper_datagrams(security: Security) -> None:
    seal, reader = cipher(security=security), PushReader("line", KEYS, system_title=TITLE)
    for _ in range(3):
        push = one_push(reader.feed(wrap(seal.protect_apdu(PLAIN), 1, 1), 0.0, whole=True))
        assert push.opened.verified is True
        assert push.opened.plaintext == PLAIN
        assert not reader.unfinished


def test_other_kinds() -> None:
    event = EventNotification(None, AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2), b"\x06\x00\x00\x00\x01")
    report = InformationReportRequest(None, (VariableName(0x1008),), (Data(DataType.UNSIGNED, 1),))
    for notification in (event, report):
        assert one_push(run(PushReader("line"), ui(LLC + notification.encode()))).notification == notification
        service = cipher(KEYS)
        service.form = "global"  # tags of their own tell no title
        frame = ui(LLC + service.protect_apdu(notification.encode()))
        push = one_push(run(PushReader("line", KEYS, system_title=TITLE), frame))
        assert (push.notification, push.system_title) == (notification, TITLE)
        assert "does not tell it" in refusal(run(PushReader("line", KEYS), frame), "title")
        refusal(run(PushReader("line"), frame), "key")


def test_telegrams() -> None:
    assert one_push(run(PushReader("line"), LUXEMBOURG)).notification == Telegram.decode(LUXEMBOURG)
    reader = PushReader("line", KEYS)
    assert one_push(run(reader, cipher().protect_apdu(PLAIN), whole=True)).opened.verified is True
    nonce, context = 9, cipher().key
    content = context.seal(0x30, TITLE, nonce, LUXEMBOURG)
    container = b"\xdb\x08" + TITLE + b"\x82" + len(content).to_bytes(2, "big") + content
    push = one_push(run(PushReader("line", KEYS), *octets(container)))
    assert push.notification == Telegram.decode(LUXEMBOURG)
    assert push.opened.verified is True


DSMR_2 = (
    b"/KMP5 KA6U001511209910\r\n\r\n0-0:96.1.1(204B413655303031)\r\n1-0:1.8.1(00185.000*kWh)\r\n"
    b"1-0:2.8.1(00013.000*kWh)\r\n0-0:96.14.0(0001)\r\n1-0:1.7.0(0000.98*kW)\r\n0-0:96.13.0()\r\n!\r\n"
)


@pytest.mark.parametrize("cut", [1, 7, len(DSMR_2)])
def test_telegrams_at_7e1(cut: int) -> None:
    """Before DSMR 4 the P1 port speaks 7E1; a port at 8N1 reads the parity as bit 7."""
    sent = add_parity(b"o rubbish.\r\n" + DSMR_2 + DSMR_2)
    found = run(PushReader("p1"), *(sent[at : at + cut] for at in range(0, len(sent), cut)))
    assert [push.notification.text.encode() for push in found if isinstance(push, Push)] == [DSMR_2] * 2
    assert [push.message.frames[0].raw for push in found if isinstance(push, Push)] == [add_parity(DSMR_2)] * 2


def test_a_telegram_at_7e1_with_wrong_parity_is_not_believed() -> None:
    """It has no CRC: its parity is all that vouches for it."""
    sent = bytearray(add_parity(DSMR_2))
    sent[60] ^= 0x04
    assert run(PushReader("p1"), bytes(sent), whole=True) == []
    assert len(run(PushReader("p1"), bytes(sent), add_parity(DSMR_2))) == 1


def test_what_is_no_push_is_passed_over() -> None:
    assert run(PushReader("line"), ui(LLC + bytes.fromhex("c001c1000100002a0000ff0200"))) == []


# -- what is refused -------------------------------------------------------------------------------------------------


def test_flipped_bits() -> None:
    """Any of them, in the APDU as a gateway hands it on: the check sequences of a frame would find them sooner."""
    sealed = cipher().protect_apdu(PLAIN)
    messages = set()
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        found = run(PushReader("line", KEYS, system_title=TITLE), bytes(damaged), whole=True)
        assert not any(isinstance(event, Push) for event in found)
        messages |= {event.error.message for event in found if isinstance(event, Refused)}
    assert len(messages) > 3


@pytest.mark.parametrize("item", CIPHERED, ids=entry_id)
def test_flipped_bits_of_captures(item: Entry) -> None:
    """On the line the frame's check sequence catches a flipped bit; nothing is ever half believed."""
    if "authentication" not in item["keys"]:
        pytest.skip("its authentication key is not published")
    data = bytes.fromhex(item["hex"])
    for at in range(0, len(data) * 8, 37):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << at % 8
        found = run(reader_for(item), bytes(damaged))
        assert all(push.opened.verified and push.opened.plaintext.hex() == item["expected"]["plaintext"]
                   for push in found if isinstance(push, Push))  # fmt: skip


def test_each_refusal_says_why() -> None:
    seal = cipher()
    first, second = ui(LLC + seal.protect_apdu(PLAIN)), ui(LLC + seal.protect_apdu(PLAIN))
    altered = seal.protect_apdu(PLAIN)[:-1] + b"\x00"
    reader = PushReader("line", KEYS, system_title=TITLE)
    one_push(run(reader, second))
    messages = [
        refusal(run(reader, second), "counter"),
        refusal(run(reader, first), "counter"),
        refusal(run(PushReader("line", KEYS, system_title=OTHER_TITLE), first), "title"),
        refusal(run(PushReader("line", OTHER_KEYS), first), "key"),
        refusal(run(PushReader("line", KEYS), ui(LLC + altered)), "tag"),
        refusal(run(PushReader("line"), first), "key"),
        refusal(run(PushReader("line", KEYS), ui(LLC + PLAIN)), "unprotected"),
        refusal(run(PushReader("line", Keys(KEYS.encryption)), first), "unauthenticated"),
        refusal(run(PushReader("line", KEYS), ui(LLC + cipher(security=Security.ENCRYPTION).protect_apdu(PLAIN))),
                "security"),
        refusal(run(PushReader("line", KEYS), ui(LLC + b"\xdb\x08" + TITLE + b"\x20\x30")), "cut"),
        refusal(run(PushReader("line", KEYS), ui(LLC + GENERAL_CIPHERING)), "unsupported"),
    ]  # fmt: skip
    assert len(set(messages)) == len(messages)
    assert "again (a replay)" in messages[0]
    assert "MDM" not in "".join(messages) or TITLE.hex() in "".join(messages)
    for secret in (KEYS.encryption, KEYS.authentication):
        assert bytes(secret).hex() not in "".join(messages)


@pytest.mark.expect_log("nothing proves who sent them")
def test_a_wrong_key_that_decrypts_to_a_known_tag_by_chance() -> None:
    """Published message without a tag: with a key of zeros its first octet is that of an APDU, and nothing else is."""
    frame = bytes.fromhex(
        "7ea079cf0002002313d986e6e700db08534d53677004c4465f200001a92a57400a90d827a575c749dab31f44f3c4b83d9b15f9fd20d9fe14"
        "7f5ad3a0432a65208408ae177e31af4cd985dad92f7647bb5ed8f619f629059606bbc55128d5e9a23bb992f564d098bbe8e759ecc0a01b25"
        "9a02599a236ec45475a07e"
    )
    wrong = PushSource("wrong", Keys(Secret(bytes(16))), accept_unauthenticated=True)
    right = PushSource("right", Keys(Secret.fromhex("612888f59306a7855ac5c08cb3a96b39")), accept_unauthenticated=True)
    assert "decrypts to is no message" in refusal(PushReaders([wrong]).feed("line", frame, 0.0), "key")
    assert one_push(PushReaders([wrong, right]).feed("line", frame, 0.0)).sources == ("right",)


def test_a_refused_message_does_no_harm_to_the_next() -> None:
    seal = cipher()
    good = [ui(LLC + seal.protect_apdu(PLAIN)) for _ in range(3)]
    forged = ui(LLC + cipher(OTHER_KEYS, start=900_000).protect_apdu(PLAIN))
    found = run(PushReader("line", KEYS), *(piece for frame in good for piece in (frame, forged)))
    assert [type(event) for event in found] == [Push, Refused] * 3


@pytest.mark.expect_log("nothing proves who sent them")
def test_unauthenticated_pushes_only_where_allowed() -> None:
    seal = cipher(security=Security.ENCRYPTION)
    frames = [ui(LLC + seal.protect_apdu(PLAIN)) for _ in range(3)]
    reader = PushReader("line", Keys(KEYS.encryption), accept_unauthenticated=True)
    assert all(isinstance(event, Push) and event.opened.verified is None for event in run(reader, *frames))
    refusal(run(reader, frames[1]), "counter")


def test_plain_is_refused_even_where_unauthenticated_is_allowed() -> None:
    reader = PushReader("line", KEYS, accept_unauthenticated=True)
    assert "without protection" in refusal(run(reader, ui(LLC + PLAIN)), "unprotected")
    bare = b"\xdb\x08" + TITLE + bytes((len(PLAIN) + 5,)) + b"\x00\x00\x00\x00\x01" + PLAIN
    assert "without protection" in refusal(run(reader, ui(LLC + bare)), "unprotected")


def test_counters_survive() -> None:
    seal, counters = cipher(), PeerCounters()
    frame = ui(LLC + seal.protect_apdu(PLAIN))
    one_push(run(PushReader("line", KEYS, peer_counters=counters), frame))
    again = PeerCounters(counters.keep())
    refusal(run(PushReader("line", KEYS, peer_counters=again), frame), "counter")


# -- several meters --------------------------------------------------------------------------------------------------


def test_a_replay_over_another_connection() -> None:
    frame = wrap(cipher().protect_apdu(PLAIN), 1, 1)
    readers = PushReaders([PushSource("house", KEYS)])
    assert one_push(readers.feed("10.0.0.1:1000", frame, 0.0)).sources == ("house",)
    refusal(readers.feed("10.0.0.1:1001", frame, 1.0), "counter")


def test_sources_are_told_apart() -> None:
    sources = [
        PushSource("titled", KEYS, TITLE),
        PushSource("keyed", OTHER_KEYS),
        PushSource("plain"),
        PushSource("plain too"),
    ]
    readers = PushReaders(sources)
    titled, keyed = cipher(), cipher(OTHER_KEYS, OTHER_TITLE)
    for number in range(2):
        origin = f"host:{number}"
        assert one_push(readers.feed(origin, titled.protect_apdu(PLAIN), 0.0, whole=True)).sources == ("titled",)
        assert one_push(readers.feed(origin, keyed.protect_apdu(PLAIN), 0.0, whole=True)).sources == ("keyed",)
        assert one_push(readers.feed(origin, PLAIN, 0.0, whole=True)).sources == ("plain", "plain too")
    stolen = cipher(OTHER_KEYS, TITLE).protect_apdu(PLAIN)
    refusal(readers.feed("host:9", stolen, 0.0, whole=True), "key")


def test_keys_of_several_meters_without_titles() -> None:
    readers = PushReaders([PushSource("one", KEYS), PushSource("other", OTHER_KEYS)])
    message = cipher(OTHER_KEYS, OTHER_TITLE).protect_apdu(PLAIN)
    assert one_push(readers.feed("host:1", message, 0.0, whole=True)).sources == ("other",)
    assert "replay" in refusal(readers.feed("host:1", message, 0.0, whole=True), "counter")


def test_the_end_of_a_connection() -> None:
    readers = PushReaders([PushSource()])
    body = bytes.fromhex("0f0000000100" + "0202160101" + "02")  # no value whose length can be told
    assert readers.feed("host:1", body, 0.0) == []
    assert readers.unfinished
    assert one_push(readers.feed("host:1", b"", 1.0))
    assert not readers.unfinished
    assert readers.feed("host:1", b"", 2.0) == []


# -- time and size ---------------------------------------------------------------------------------------------------


def blocks(apdu: bytes, size: int) -> list[bytes]:
    pieces = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    return [
        bytes((0xE0, 0x80 if number == len(pieces) else 0x00, 0, number, 0, 0, len(piece))) + piece
        for number, piece in enumerate(pieces, 1)
    ]


def test_general_blocks_with_pauses_of_seconds() -> None:
    sealed = cipher().protect_apdu(PLAIN)
    reader, now = PushReader("line", KEYS), 0.0
    *first, last = [ui(LLC + block) for block in blocks(sealed, 12)]
    for frame in first:
        assert reader.feed(frame, now) == []
        for _ in range(8):
            now += 1.0
            assert reader.tick(now) == []
            assert reader.unfinished
    assert one_push(reader.feed(last, now)).opened.verified is True
    assert reader.tick(now + 5) == []
    assert not reader.unfinished


def test_general_blocks_that_never_end_are_given_up() -> None:
    sealed = cipher().protect_apdu(PLAIN)
    reader = PushReader("line", KEYS)
    reader.feed(ui(LLC + blocks(sealed, 12)[0]), 0.0)
    reader.tick(20.0)
    assert reader.unfinished
    reader.tick(60.0)
    assert not reader.unfinished


def test_two_long_frames() -> None:
    sealed = cipher().protect_apdu(DataNotification(7, None, b"\x09\x82\x01\x00" + bytes(256)).encode())
    frames = [
        MbusFrame(0, 0x53, 0xFF, information, 1, 0x67, data, False).encode()
        for information, data in ((0x00, sealed[:240]), (0x11, sealed[240:]))
    ]
    reader = PushReader("line", KEYS)
    assert reader.feed(frames[0], 0.0) == []
    assert one_push(reader.feed(frames[1], 2.0)).opened.verified is True
    assert isinstance(run(PushReader("line", KEYS), *octets(b"\x68" + b"".join(frames)))[0], Push)


def test_segments_of_two_meters_interleaved() -> None:
    seals = {source: cipher(title=TITLE[:7] + source) for source in (b"\x03", b"\x05")}
    parts = {source: seal.protect_apdu(PLAIN) for source, seal in seals.items()}
    reader, found = PushReader("line", KEYS), []
    for at in range(0, len(PLAIN) + 40, 16):
        for source, sealed in parts.items():
            piece = sealed[at : at + 16]
            if piece:
                more = at + 16 < len(sealed)
                found += reader.feed(ui((LLC if at == 0 else b"") + piece, source=source, segmented=more), 0.0)
    assert [event.system_title for event in found if isinstance(event, Push)] == [TITLE[:7] + s for s in parts]
    assert len(found) == 2


def test_a_noisy_line() -> None:
    """A meter that pushes every ten seconds; octets are lost, changed and added on the way."""
    noise, seal, reader = random.Random(7), cipher(), PushReader("line", KEYS)
    good = refused = 0
    for second in range(0, 3000, 10):
        sent = bytearray(ui(LLC + seal.protect_apdu(PLAIN)))
        spoiled = noise.random() < 0.3
        if spoiled:
            at = noise.randrange(1, len(sent) - 1)
            sent[at : at + noise.randrange(2)] = bytes([noise.randrange(256)])
        stream = noise.randbytes(noise.randrange(4)) + bytes(sent) + noise.randbytes(noise.randrange(4))
        found = reader.feed(stream, float(second)) + reader.tick(second + 5.0)
        good += sum(isinstance(event, Push) for event in found)
        refused += sum(isinstance(event, Refused) for event in found)
    assert 195 < good < 235
    assert refused == 0


def test_looking_often_does_not_keep_a_cut_message_alive() -> None:
    reader = PushReader("line")
    reader.feed(ui(LLC + PLAIN)[:-4], 0.0)
    for second in range(1, 5):
        reader.tick(float(second))
    assert not reader.unfinished
    one_push(reader.feed(ui(LLC + PLAIN), 5.0))


def test_an_idle_reader_needs_no_tick() -> None:
    item = entry("push_kamstrup", "hassams-kamstrup-hourly")
    reader = PushReader("line")
    assert not reader.unfinished
    one_push(reader.feed(bytes.fromhex(item["hex"]), 0.0))
    reader.tick(4.0)
    assert not reader.unfinished
    reader.feed(b"\xff\xfe", 10.0)
    reader.tick(14.0)
    assert not reader.unfinished


HOSTILE = {
    "zeros": b"\x00" * 4096,
    "flags": b"~" * 4096,
    "start octets": b"h" * 4096,
    "long frame that never ends": b"\x68\xff\xff\x68\x53" + b"\x00" * 200,
    "headers": b"~\xaf\xff\x03\xcf\x13" * 700,
    "segments": ui(LLC + b"\x0f" + bytes(100), segmented=True),
    "containers": b"\xdb\x08" + bytes(8) + b"\x82\xff\xff" + bytes(300),
    "wrapper": b"\x00\x01\x00\x01\x00\x01\xff\xff\x0f" + bytes(400),
    "telegram": b"/ABC5 \r\n" + b"1-0:1.8.0(1)\r\n" * 200,
    "slashes": b"/ABC5 \r\n" * 512,
    "blocks": b"".join(ui(LLC + block) for block in blocks(b"\x0f" + bytes(2000), 100)[1:]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_sender(name: str) -> None:
    """Many connections that never send anything whole: bounded in memory and time."""
    readers, data = PushReaders([PushSource("", KEYS)], limit=8), HOSTILE[name]
    readers.feed("first", data, 0.0)
    tracemalloc.start()
    for number in range(100_000 // len(data)):
        readers.feed(f"host:{number % 40}", data, number / 1000)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 3_000_000


@pytest.mark.expect_log("nothing proves who sent them")
def test_titles_without_end() -> None:
    """Without a tag anybody can send under ever new titles."""
    counters = PeerCounters()
    reader = PushReader("line", Keys(KEYS.encryption), accept_unauthenticated=True, peer_counters=counters)
    for number in range(1000):
        seal = cipher(title=number.to_bytes(8, "big"), security=Security.ENCRYPTION)
        one_push(reader.feed(seal.protect_apdu(PLAIN), 0.0, whole=True))
    assert len(counters.keep()) <= 256


def test_datagrams_leave_nothing_behind() -> None:
    seal, readers = cipher(), PushReaders([PushSource("", KEYS)], limit=4)
    for number in range(100):
        one_push(readers.feed(f"host:{number}", wrap(seal.protect_apdu(PLAIN), 1, 1), 0.0, whole=True))
    assert not readers.unfinished


PIECES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([bytes.fromhex(item["hex"]) for item in PUSHES + entries("malformed")]).flatmap(
        lambda data: st.tuples(st.integers(0, len(data)), st.integers(0, len(data))).map(
            lambda cut: data[min(cut) : max(cut)]
        )
    ),
    st.sampled_from([PLAIN, ui(LLC + PLAIN), LUXEMBOURG, *HOSTILE.values()]),
)


@pytest.mark.usefixtures("quiet")
@given(st.lists(PIECES, max_size=6), st.booleans(), st.booleans())
def test_any_bytes(pieces: list[bytes], whole: bool, keyed: bool) -> None:
    reader = PushReader("line", KEYS if keyed else None, accept_unauthenticated=keyed)
    found: list[Push | Refused] = []
    for now, piece in enumerate(pieces):
        found += reader.feed(piece, now * 2.0, whole=whole)
    found += reader.finish()
    for event in found:
        assert isinstance(event, Push | Refused)
        assert str(event.error if isinstance(event, Refused) else event.notification)
    assert not reader.unfinished
    for earlier, later in pairwise(found):
        assert earlier is not later


def refusals(reader: PushReader, data: bytes, seconds: int, start: float = 0.0) -> list[tuple[float, str]]:
    """What is said of the same octets each second, and when."""
    events = [
        (at, event)
        for second in range(seconds)
        for at in (start + second,)
        for event in (*reader.feed(data, at), *reader.tick(at + 0.5))
    ]
    assert all(isinstance(event, Refused) and isinstance(event.error, FramingError) for _, event in events)
    return [(at, event.error.told) for at, event in events if isinstance(event, Refused)]


DAMAGED = encode_frame(0x13, b"\x03", b"\x21", LLC + PLAIN)[:-5] + b"\x00\x00\x00\x00\x7e"


def test_damaged_frames_are_told_after_seconds_and_then_once_a_minute() -> None:
    (first, text), (second, _) = refusals(PushReader("line"), DAMAGED, 80)
    assert 5 <= first <= 8 and 55 <= second - first <= 65
    assert "damaged frames" in text and "cable" in text and "Speed and parity seem right" in text


def test_octets_without_a_frame_name_speed_and_parity() -> None:
    ((_, text),) = refusals(PushReader("line"), bytes(range(128, 160)) * 2, 12)
    assert "no valid frame" in text and "speed and parity" in text


def test_a_spark_and_a_beginning_in_the_middle_are_not_told() -> None:
    whole = encode_frame(0x13, b"\x03", b"\x21", LLC + PLAIN)
    reader = PushReader("line")
    assert refusals(reader, b"\xff\x80", 12) == []
    assert isinstance(reader.feed(whole[7:] + whole, 12.0)[0], Push)
    assert refusals(reader, b"", 30, 13.0) == []


def test_a_message_ends_the_damage() -> None:
    whole = encode_frame(0x13, b"\x03", b"\x21", LLC + PLAIN)
    reader = PushReader("line")
    for second in range(30):
        assert not any(isinstance(event, Refused) for event in reader.feed(DAMAGED + whole, float(second)))
