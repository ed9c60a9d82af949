"""One connection to a broker, against one in the test's own loop that is as odd as asked."""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncIterator, Callable

import aiomqtt
import pytest
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from dlms_mqtt.bridge.config.sections.bridge import Mqtt, Tls
from dlms_mqtt.bridge.mqtt import client as mqtt_client
from dlms_mqtt.bridge.mqtt.client import V5, V311, Client, UnderWay, Unsaid, Will, message_of, new_client, tls_context
from dlms_mqtt.errors import ConfigError
from tests.bridge.authority import Authority
from tests.bridge.conftest import PATIENCE
from tests.bridge.odd_broker import OddBroker

WILL = Will("base/state", "offline")


def _client(
    port: int = 1883, version: aiomqtt.ProtocolVersion = V5, tls: Tls | None = None, **config: object
) -> Client:
    context = tls_context(tls) if tls else None
    return new_client(Mqtt(host="127.0.0.1", port=port, **config), version, "test", WILL, context, {})


@contextlib.asynccontextmanager
async def _connected(odd: OddBroker) -> AsyncIterator[Client]:
    async with odd.serving() as port, _client(port) as client:
        yield client


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("most", "largest", "expected"), [(0, 0, (20, math.inf)), (3, 900, (3, 900)), (99, 0, (20, math.inf))]
)
async def test_what_the_broker_takes_at_once_and_how_large(most, largest, expected):
    async with _connected(OddBroker(most=most, largest=largest)) as client:
        assert (client.at_once, client.largest) == expected


async def test_the_broker_is_told_how_large_a_message_we_take():
    """A publisher's message of 200 MB would fill the memory; 3.1.1 has no word for it."""
    assert _client()._properties.MaximumPacketSize == 10_000_000
    assert _client(version=V311)._properties is None


@pytest.mark.expect_log("base/a: 965 octets are more than the broker takes (900), so it is not sent")
async def test_what_is_too_large_is_told_once_and_sent_when_it_is_smaller_again(caplog):
    client = _client()
    client.largest = 900
    assert client.takes("base/a", "x" * 200)
    assert not client.takes("base/a", "x" * 895)
    assert not client.takes("base/a", "x" * 1895) and client.skipped == {"base/a": 1965}
    assert client.takes("base/b", "ü" * 200)
    assert client.skipped == {"base/a": 1965} and len(caplog.records) == 1
    assert client.takes("base/a", "x" * 800) and not client.skipped


WORDS = [
    (0, ""),
    (16, ""),  # nobody has subscribed
    (135, "the broker's access list forbids it"),
    (131, "implementation specific error"),
    (200, "the broker refused it with reason code 200"),
]


@pytest.mark.parametrize(("reason", "words"), WORDS)
async def test_the_answer_to_a_message_in_words(reason, words):
    odd = OddBroker(reason=reason)
    async with _connected(odd) as client:
        assert await client.send("base/a", "1", retain=True, MessageExpiryInterval=90, ResponseTopic=None) == words
        assert not client.under_way
        assert [properties for _, _, properties in odd.taken] == [b"\x02\0\0\0\x5a"] * (reason == 0)


async def test_a_message_that_was_too_large_tells_how_large_may_be():
    async with _connected(OddBroker(reason=149)) as client:
        assert await client.send("base/a", "x" * 100) == "the message is larger than the broker takes"
        assert client.largest < UnderWay("base/a", "x" * 100, 0.0, print).octets


@pytest.mark.expect_log("base/a: 970 octets are more than the broker takes (900)")
async def test_correlation_data_is_a_part_of_a_message_that_was_too_large():
    client = _client()
    client.largest = 900
    assert client.takes("base/a", "ü" * 200, 400) and not client.takes("base/a", "ü" * 200, 500)
    async with _connected(OddBroker(wait=1000)) as client:
        await client.start("base/a", "x", print, CorrelationData=bytes(1000))
        assert client.lost == (UnderWay("base/a", "x" * 1001, 0.0, print).octets, "base/a")


async def test_no_more_is_under_way_than_the_broker_takes():
    odd, answers = OddBroker(most=2), []
    async with _connected(odd) as client:
        for number in range(9):
            await client.start("base/a", str(number), answers.append)
        await _until(lambda: len(answers) == 9)
        assert odd.worst == 2 and [payload for _, payload, _ in odd.taken] == [b"%d" % number for number in range(9)]


async def test_a_large_message_goes_out_though_the_socket_is_full():
    odd = OddBroker()
    async with _connected(odd) as client:
        assert await client.send("base/a", "x" * 8_000_000) == ""
        assert len(odd.taken[0][1]) == 8_000_000


async def test_a_broker_that_does_not_answer(monkeypatch):
    odd = OddBroker(wait=PATIENCE)
    async with _connected(odd) as client:
        monkeypatch.setattr(mqtt_client, "_ANSWER", 0.01)
        monkeypatch.setattr(mqtt_client, "_LOOK", 0.001)
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await client.send("base/a", "1")
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await client.answers_in_time()
        assert client.lost == (UnderWay("base/a", "1", 0.0, print).octets, "base/a")


async def test_nothing_is_sent_where_there_is_no_line():
    with pytest.raises(aiomqtt.MqttCodeError):
        await _client().start("base/a", "1", print)


@pytest.mark.parametrize("heard", [1, 135])
async def test_what_nobody_lets_us_hear(heard):
    async with _connected(OddBroker(heard=heard)) as client:
        why = "the broker's access list forbids it"
        assert await client.subscribe_to(["base/#", "other/#"]) == (
            {"base/#": why, "other/#": why} if heard > 1 else {}
        )


@pytest.mark.parametrize(
    ("reason", "unwanted", "words"),
    [
        (142, True, "another client uses the same client id"),
        (152, True, "administrator"),
        (139, False, "shutting down"),
    ],
)
async def test_why_the_broker_hung_up(reason, unwanted, words):
    odd = OddBroker()
    with contextlib.suppress(aiomqtt.MqttError):  # aiomqtt 2.3 says it once more at the end of the block
        await _hung_up(odd, reason, unwanted, words)


async def _hung_up(odd, reason, unwanted, words):
    async with _connected(odd) as client:
        odd.hang_up(reason)
        await _until(lambda: client.left)
        assert words in client.why(aiomqtt.MqttError("Disconnected"))
        assert client.is_explained(aiomqtt.MqttError("Disconnected")) and client.unwanted == unwanted


def _refused(version: aiomqtt.ProtocolVersion, code: int) -> MqttConnectError:
    return MqttConnectError(ReasonCode(PacketTypes.CONNACK, identifier=code) if version is V5 else code)


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


ERRORS = {  # words, explained, may be the version
    "password of 5": (_refused(V5, 134), "refused user name or password", True, False),
    "password of 3.1.1": (_refused(V311, 5), "refused user name or password", True, False),
    "version of 5": (_refused(V5, 132), "version", True, True),
    "version of 3.1.1": (_refused(V311, 1), "protocol version", True, True),
    "closed": (aiomqtt.MqttError("Disconnected"), "Disconnected", False, True),
    "refused": (_caused(aiomqtt.MqttError("[Errno 111]"), ConnectionRefusedError()), "Errno 111", False, False),
    "without a word": (TimeoutError(), "TimeoutError", False, False),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_why_there_is_no_line(name):
    error, words, explained, version = ERRORS[name]
    client = _client()
    assert words.lower() in client.why(error).lower()
    assert (client.is_explained(error), client.may_be_the_version(error)) == (explained, version)
    assert not client.unwanted


async def test_tls_tells_why(tmp_path):
    """It reaches us by paho's log alone."""
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*ours.issue("broker", "127.0.0.1"))
    async with await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context
    ) as server:
        client = _client(server.sockets[0].getsockname()[1], tls=Tls(ca=other.file))
        with pytest.raises(aiomqtt.MqttError) as caught:
            await client.__aenter__()
    assert "certificate verify failed" in client.why(caught.value) and client.is_explained(caught.value)


@pytest.mark.parametrize(
    ("payload", "properties", "expected"),
    [
        (b"on", None, ("a/b", b"on", True, "", None)),
        (None, None, ("a/b", b"", True, "", None)),
        (b"on", {"ResponseTopic": "r", "CorrelationData": b"\1"}, ("a/b", b"on", True, "r", b"\1")),
    ],
)
def test_what_came(payload, properties, expected):
    told = Properties(PacketTypes.PUBLISH) if properties else None
    for name, value in (properties or {}).items():
        setattr(told, name, value)
    came = message_of(aiomqtt.Message("a/b", payload, 1, True, 1, told))
    assert (came.topic, came.payload, came.retained, came.response_topic, came.correlation) == expected


def _line_broken_by(size: int, topic: str = "base/large") -> Client:
    client = _client(version=V311)
    if size:
        around = UnderWay(topic, "", 0.0, print).octets
        client.under_way[1] = UnderWay(topic, "x" * (size - around), 0.0, print)
    return client


async def test_only_what_breaks_three_lines_in_a_row_is_too_large():
    unsaid = Unsaid()
    for size, topic in ((5000, "base/a"), (5000, "base/a"), (5000, "base/b"), (5000, "base/a"), (0, ""), (0, "")):
        unsaid.broken(_line_broken_by(size, topic), stood=False)
    for _ in range(5):
        unsaid.broken(_line_broken_by(900), stood=False)  # a reading is never left out
    assert unsaid.largest == math.inf


async def test_a_broker_that_may_have_been_restarted_is_tried_afresh():
    unsaid = Unsaid()
    for _ in range(3):
        unsaid.broken(_line_broken_by(5000), stood=False)
    assert unsaid.largest == 4999
    unsaid.broken(_line_broken_by(0, ""), stood=True)
    assert unsaid.largest == math.inf


def test_tls_files_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError):
        tls_context(Tls(ca=str(tmp_path / "none.pem")))
    assert tls_context(Tls()).check_hostname
    assert not tls_context(Tls(verify=False)).check_hostname


def test_our_own_papers(tmp_path):
    ours = Authority(tmp_path, "ours")
    certificate, key = ours.issue("bridge")
    assert tls_context(Tls(ca=ours.file, certificate=certificate, key=key)).verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(ConfigError, match="TLS files of the broker cannot be used"):
        tls_context(Tls(certificate=certificate, key=ours.issue("stranger")[1]))
