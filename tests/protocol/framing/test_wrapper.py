"""The wrapper on streams and in datagrams, both sides; and no framing at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import LocalProtocolError
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.link import Broken, Link, LinkDown, LinkEvent, LinkUp, Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperHeader, WrapperLink, encode_frame
from tests.frames_data import entries, entry_id


def events(link: Link) -> list[LinkEvent]:
    return list(iter(link.next_event, None))


def connected(side: Side, **options: object) -> WrapperLink:
    link = WrapperLink(side, **options)  # type: ignore[arg-type]
    link.connect()
    assert isinstance(events(link)[0], LinkUp)
    return link


@pytest.mark.parametrize("vector", entries("vectors_hdlc", group="wrapper"), ids=entry_id)
def test_header(vector: dict) -> None:
    expected = vector["expected"]
    header = WrapperHeader.decode(bytes.fromhex(vector["hex"]))
    assert header == (
        expected["version"],
        expected["source_wport"],
        expected["destination_wport"],
        expected["length"],
    )
    assert header.encode().hex() == vector["hex"]


@pytest.mark.parametrize("vector", entries("push", framing="wrapper-udp"), ids=entry_id)
def test_pushed(vector: dict) -> None:
    data, expected = bytes.fromhex(vector["hex"]), vector["expected"]["wrapper"]
    client = connected(Side.CLIENT, client=expected["destination_wport"], server=expected["source_wport"])
    client.receive(data)
    (event,) = events(client)
    assert event == Received(data[8:], expected["source_wport"], expected["destination_wport"])
    assert len(data[8:]) == expected["length"]


def test_question_and_answer() -> None:
    client, server = connected(Side.CLIENT, client=32), connected(Side.SERVER)
    client.send(b"\xc0\x01")
    line = client.data_to_send()
    assert line.hex() == "0001002000010002c001"
    server.receive(line)
    assert events(server) == [Received(b"\xc0\x01", 32, 1)]
    server.send(b"\xc4\x01")
    client.receive(server.data_to_send())
    assert events(client) == [Received(b"\xc4\x01", 1, 32)]
    assert client.data_to_send() == server.data_to_send() == b""
    assert client.statistics.frames == 1
    client.disconnect()
    assert events(client) == [LinkDown("disc")]


@given(st.lists(st.binary(min_size=0, max_size=300), min_size=1, max_size=5), st.lists(st.integers(1, 40), min_size=1))
def test_a_stream_is_cut_anywhere(apdus: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(apdu, 1, 16) for apdu in apdus)
    client = connected(Side.CLIENT)
    found: list[LinkEvent] = []
    while stream:
        for cut in cuts:
            client.receive(stream[:cut] or b"")
            stream = stream[cut:]
            found += events(client)
    assert found == [Received(apdu, 1, 16) for apdu in apdus]


def test_rubbish_on_a_stream() -> None:
    client = connected(Side.CLIENT)
    client.receive(b"\xff\x00\xff~" * 3)
    client.receive(b"\0" + encode_frame(b"\xc4", 1, 16) + encode_frame(b"\xc5", 1, 16))
    found = events(client)
    assert [event.apdu for event in found if isinstance(event, Received)] == [b"\xc4", b"\xc5"]
    assert {event.reason for event in found if isinstance(event, Broken)} == {"version"}
    assert client.statistics.noise_bytes == 13


@pytest.mark.parametrize("side", Side)
def test_a_stream_entered_amid_a_frame_is_taken_up_at_the_next_one(side: Side) -> None:
    """Contents that look like a header of somebody else must not swallow what follows."""
    ports = (1, 16) if side is Side.CLIENT else (16, 1)
    contents = bytes.fromhex("0f0000") + bytes.fromhex("12000102030405") * 5 + b"\x00"
    tail = encode_frame(contents, *ports)
    # Where the first octets that come are the false header itself, nothing tells it from a true one.
    for start in (at for at in range(1, len(tail)) if tail[at : at + 2] != b"\x00\x01"):
        link = connected(side)
        link.receive(tail[start:] + encode_frame(b"first", *ports) + encode_frame(b"second", *ports))
        received = [event.apdu for event in events(link) if isinstance(event, Received)]
        assert received == [b"first", b"second"], start


def test_in_step_a_frame_of_somebody_else_is_passed_over_whole() -> None:
    link = connected(Side.CLIENT)
    link.receive(b"\xff" * 8 + encode_frame(b"ours", 1, 16))
    link.receive(encode_frame(encode_frame(b"forged", 1, 16), 2, 16) + encode_frame(b"next", 1, 16))
    found = events(link)
    assert [event.apdu for event in found if isinstance(event, Received)] == [b"ours", b"next"]
    assert Broken("address") in found


def test_a_long_stream_of_rubbish_is_quick() -> None:
    client = connected(Side.CLIENT)
    client.receive(b"\x00\x02" * 100_000 + encode_frame(b"\xc4", 1, 16) * 10_000)
    assert sum(isinstance(event, Received) for event in events(client)) == 10_000


def test_addresses() -> None:
    client, server = connected(Side.CLIENT), connected(Side.SERVER)
    client.receive(encode_frame(b"\x0f", 2, 16))
    assert events(client) == [Broken("address")]
    client.receive(encode_frame(b"\x0f", 1, 103))  # a push to somebody else, over our connection
    assert events(client) == [Received(b"\x0f", 1, 103, unnumbered=True)]
    server.receive(encode_frame(b"\xc0", 16, 2))
    assert events(server) == [Broken("address")]


def test_datagrams() -> None:
    client = connected(Side.CLIENT, datagram=True)
    assert not client.repeat()
    client.send(b"\xc0")
    line = client.data_to_send()
    client.receive(encode_frame(b"\xc4\x01\x02", 1, 16)[:-1])
    assert events(client) == [Broken("length")]
    client.receive(encode_frame(b"\xc4", 1, 16))
    assert events(client) == [Received(b"\xc4", 1, 16)]
    assert client.repeat()
    assert client.data_to_send() == line
    assert client.statistics.repeats == 1


def test_nothing_is_repeated_on_a_stream() -> None:
    client = connected(Side.CLIENT)
    client.send(b"\xc0")
    client.data_to_send()
    client.receive(encode_frame(b"\xc4", 1, 16)[:-1])
    assert not client.repeat()
    client.receive(b"\xc4")
    assert events(client) == [Received(b"\xc4", 1, 16)]


def test_too_long() -> None:
    with pytest.raises(LocalProtocolError):
        connected(Side.CLIENT).send(bytes(0x10000))


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    for side in Side:
        link = connected(side)
        link.receive(data)
        events(link)


def test_bare() -> None:
    client, server = BareLink(Side.CLIENT), BareLink(Side.SERVER)
    client.connect()
    assert isinstance(events(client)[0], LinkUp)
    client.send(b"\xc0")
    server.receive(client.data_to_send())
    assert events(server) == [Received(b"\xc0", 16, 1)]
    assert not client.repeat()
    client.quiet()
    client.disconnect()
    assert events(client) == [LinkDown("disc")]
