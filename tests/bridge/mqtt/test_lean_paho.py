"""The short way of a message does what paho's own does; what is not the common case goes paho's way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from paho.mqtt.client import MQTT_LOG_DEBUG, MQTT_LOG_ERR, Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from dlms_mqtt.bridge.mqtt.lean_paho import LeanPaho

PUBLISH, DISCONNECT, PUBACK = PacketTypes.PUBLISH << 4, PacketTypes.DISCONNECT << 4, PacketTypes.PUBACK << 4


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def client_on(line: tuple[socket.socket, socket.socket], version: Any = MQTTv5) -> tuple[Any, list[Any]]:
    """A client that writes in its own time, and what it was told of its messages."""
    client: Any = LeanPaho(CallbackAPIVersion.VERSION2, "test", protocol=version)
    told: list[Any] = []
    client.on_publish = lambda *row: told.append(row[2:4])
    client.on_socket_register_write = lambda *_: None
    client._sock = line[0]
    return client, told


def publish(client: Any, *payloads: str) -> None:
    for payload in payloads:
        assert not client.publish("a/b", payload, 1, True).rc


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_a_plain_yes_is_its_number(line: Any, version: Any) -> None:
    client, told = client_on(line, version)
    publish(client, "x", "y")
    line[1].send(bytes((PUBACK, 2, 0, 1, PUBACK, 2, 0, 2)))
    with mock.patch.object(Client, "_handle_pubackcomp") as long_way:
        client.loop_read()
    assert told == [(1, 0), (2, 0)]
    assert not client._out_messages
    assert not long_way.called  # paho calls it by this name


def test_nobody_listens_is_a_yes(line: Any) -> None:
    client, told = client_on(line)
    publish(client, "x")
    line[1].send(bytes((PUBACK, 3, 0, 1, 0x10)))
    client.loop_read()
    assert told == [(1, 0x10)]


@pytest.mark.parametrize("more", [b"\x87", b"\x87\x00", b"\x10\x00", b"\x95", b"\x95\x04\x1f\x00\x01x", b"\xc8"])
def test_a_no_is_its_number_whether_paho_knows_it_or_not(line: Any, more: bytes) -> None:
    """Mosquitto says 149 to a message beyond its message_size_limit, a reason that paho has not for a PUBACK."""
    client, told = client_on(line)
    publish(client, "x")
    line[1].send(bytes((PUBACK, 2 + len(more), 0, 1)) + more)
    assert client.loop_read() == 0
    assert told == [(1, more[0])]


def test_a_number_that_nobody_waits_for_is_passed_over(line: Any) -> None:
    client, told = client_on(line)
    publish(client, "x")
    line[1].send(bytes((PUBACK, 2, 1, 1)))
    assert client.loop_read() == 0
    assert not told and list(client._out_messages) == [1]


@pytest.mark.parametrize(("version", "octets"), [(MQTTv5, b"\x01"), (MQTTv5, b""), (MQTTv311, b"\0\1\0")])
def test_a_damaged_confirmation_ends_the_line(line: Any, version: Any, octets: bytes) -> None:
    client, told = client_on(line, version)
    publish(client, "x")
    line[1].send(bytes((PUBACK, len(octets))) + octets)
    assert client.loop_read() == 2  # a protocol error
    assert not told


def test_what_has_come_is_taken_at_once(line: Any) -> None:
    client, told = client_on(line)
    publish(client, *"abcdefgh")
    octets = b"".join(bytes((PUBACK, 2, 0, number)) for number in range(1, 9))
    line[1].send(octets[:-1])
    with mock.patch.object(Client, "_sock_recv", wraps=client._sock.recv) as asked:
        client.loop_read()
        assert asked.call_count == 1
    assert told == [(number, 0) for number in range(1, 8)]
    line[1].send(octets[-1:])
    client.loop_read()
    assert told[-1] == (8, 0)


def test_more_messages_than_are_waited_for_are_all_heard(line: Any) -> None:
    client, _ = client_on(line)
    heard: list[bytes] = []
    client.on_message = lambda *row: heard.append(row[2].payload)
    line[1].send(b"".join(bytes((PUBLISH, 6, 0, 1)) + b"a\0%02d" % number for number in range(50)))
    client.loop_read()
    assert heard == [b"%02d" % number for number in range(50)]


def test_a_flood_does_not_hold_the_loop(line: Any) -> None:
    """As long as more comes than is heard, the line would be read for ever."""
    client, _ = client_on(line)
    heard: list[bytes] = []
    message = bytes((PUBLISH, 7, 0, 1)) + b"a\0xyz"

    def on_message(*row: Any) -> None:
        heard.append(row[2].payload)
        if len(heard) % 200 == 0 and len(heard) < 2000:
            line[1].send(message * 300)

    client.on_message = on_message
    line[1].send(message * 600)
    client.loop_read()
    assert len(heard) == 4096 // len(message)
    client.loop_read()
    assert len(heard) == 2 * 4096 // len(message), "the rest comes in the next round"


def test_a_line_that_ends_is_told(line: Any) -> None:
    client, _ = client_on(line)
    client.on_disconnect = mock.Mock()
    line[1].send(bytes((PUBLISH, 6, 0, 1)) + b"a")
    line[1].close()
    client.loop_read()
    assert client.loop_read() and client.socket() is None


def test_what_waits_is_written_in_one_piece(line: Any) -> None:
    client, _ = client_on(line)
    publish(client, "first", "second", "third")
    pieces = [bytes(packet["packet"]) for packet in client._out_packet]
    client._out_packet[0]["pos"] = 3  # the beginning is on its way already
    client._out_packet[0]["to_process"] -= 3
    with mock.patch.object(client, "_sock_send", wraps=client._sock_send) as sent:
        assert client.loop_write() == 0
    assert line[1].recv(1000) == b"".join(pieces)[3:]
    assert sent.call_count == 1
    assert not client.want_write()


def test_a_full_line_takes_the_rest_later(line: Any) -> None:
    client, _ = client_on(line)
    line[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    publish(client, *("x" * 3000 for _ in range(30)))
    whole = b"".join(bytes(packet["packet"]) for packet in client._out_packet)
    heard = b""
    while len(heard) < len(whole):
        client.loop_write()
        heard += line[1].recv(5000)
    assert heard == whole and not client.want_write()


def test_a_websocket_writes_one_by_one(line: Any) -> None:
    client, _ = client_on(line)
    client._transport = "websockets"
    publish(client, "first", "second")
    with mock.patch.object(client, "_sock_send", wraps=client._sock_send) as sent:
        client.loop_write()
    assert sent.call_count == 2


def test_a_goodbye_is_written_by_itself(line: Any) -> None:
    client, _ = client_on(line)
    publish(client, "x")
    pieces = bytes(client._out_packet[0]["packet"])
    client.disconnect()
    client.loop_write()
    assert line[1].recv(1000) == pieces + bytes((DISCONNECT, 0))
    assert client.socket() is None  # paho has seen its own goodbye go


def test_only_what_is_wrong_is_put_into_words(line: Any) -> None:
    client, _ = client_on(line)
    client.enable_logger(log := mock.Mock())
    client._easy_log(MQTT_LOG_DEBUG, "Sending %s", "x")
    assert not log.log.called
    client._easy_log(MQTT_LOG_ERR, "failed to receive on socket: %s", "x")
    assert log.log.called


class Unpacked:
    """As a socket with TLS: it has unpacked a record, of which the system knows nothing any more."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def recv(self, size: int) -> bytes:
        if not self._octets:
            raise BlockingIOError
        taken, self._octets = self._octets[:size], self._octets[size:]
        return taken

    def close(self) -> None:
        """Nothing is open."""


def test_what_tls_has_unpacked_is_taken_whole(line: Any) -> None:
    """No event tells of the rest: it would lie there until the broker says something else."""
    client, _ = client_on(line)
    came: list[bytes] = []
    client.on_message = lambda *row: came.append(row[2].payload)
    payload = b"x" * 15_000
    body = b"\x00\x03a/b\x00" + payload
    client._sock = Unpacked(bytes((PUBLISH, 0x80 | len(body) & 0x7F, len(body) >> 7)) + body)
    client.loop_read()
    assert came == [payload]


def test_of_a_plain_line_a_piece_a_round_is_taken(line: Any) -> None:
    """The system tells again that there is more: others have their turn in between."""
    client, _ = client_on(line)
    came: list[bytes] = []
    client.on_message = lambda *row: came.append(row[2].payload)
    message = bytes((PUBLISH, 106)) + b"\x00\x03a/b\x00" + b"x" * 100
    line[1].send(message * 200)
    client.loop_read()
    first = len(came)
    assert 0 < first < 200
    while len(came) < 200:
        client.loop_read()


RESPONSE, CORRELATION = b"\x08\x00\x03r/t", b"\x09\x00\x02\x00\xff"
BOTH = {"ResponseTopic": "r/t", "CorrelationData": b"\x00\xff"}


def message(properties: bytes, command: int = PUBLISH) -> bytes:
    """A PUBLISH of MQTT 5."""
    number = b"\x00\x07" if command & 6 else b""
    body = b"\x00\x03a/b" + number + VariableByteIntegers.encode(len(properties)) + properties + b"payload"
    return bytes((command,)) + VariableByteIntegers.encode(len(body)) + body


@pytest.mark.parametrize("command", [PUBLISH, PUBLISH | 2, PUBLISH | 3])
@pytest.mark.parametrize(
    ("properties", "read"),
    [
        (b"", {}),
        (RESPONSE + CORRELATION, BOTH),
        (b"\x01\x01" + RESPONSE + b"\x02\x00\x00\x00\x00" + CORRELATION + b"\x23\x00\x05", BOTH),
        (b"\x03\x00\x03\xef\xbb\xbf" + RESPONSE + CORRELATION, BOTH),  # U+FEFF in a content type
        (RESPONSE + b"\x26\x00\x01k\x00\x03\xef\xbb\xbf" + CORRELATION, BOTH),  # and in a user property
        (b"\x08\x00\x03\xef\xbb\xbf" + CORRELATION, {"CorrelationData": b"\x00\xff"}),
        (b"\x08\x00\x01\xff" + b"\x08\x00\x01\x00", {}),
        (b"\x09\x00\x00", {"CorrelationData": b""}),
        (b"\x26\x00\x00\x00\x00" * 30_000 + RESPONSE, {"ResponseTopic": "r/t"}),
        (b"\x26\x00\x00\x00\x00" * 50_000 + RESPONSE, {}),  # longer than any honest one
        (RESPONSE + b"\x7f", {}),  # none of a PUBLISH
        (RESPONSE + b"\x09\x00\x09", {}),  # cut
    ],
    ids=range(12),
)
def test_of_the_properties_of_a_message_those_are_read_that_mean_something(
    line: Any, command: int, properties: bytes, read: dict[str, Any]
) -> None:
    """Paho takes four seconds for 40,000 of them, and hangs up over U+FEFF, which MQTT allows: retained, for ever."""
    client, _ = client_on(line)
    came: list[Any] = []
    client.on_message = lambda *row: came.append(row[2])
    client._sock = Unpacked(message(properties, command) + message(b""))
    with mock.patch.object(Properties, "readProperty", autospec=True, side_effect=Properties.readProperty) as asked:
        while len(came) < 2:
            assert client.loop_read() == 0
    assert asked.call_count == len(read)
    first, second = came
    assert (first.topic, first.payload, first.retain, first.mid) == (
        "a/b", b"payload", command & 1 == 1, 7 if command & 6 else 0
    )  # fmt: skip
    assert {name: getattr(first.properties, name) for name in read} == read
    assert not hasattr(first.properties, "UserProperty") and second.payload == b"payload"
