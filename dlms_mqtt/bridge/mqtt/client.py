"""One connection to a broker: aiomqtt's client with what it lacks, how one is made, what its errors and messages mean.

What a broker tells is kept to and told: how many messages it takes at once and how large, what it refuses and why.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, Self

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.config.sections.bridge import Mqtt, Tls
from dlms_mqtt.bridge.mqtt.lean_paho import LeanPaho
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass

V5, V311 = aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311
IN_FLIGHT = 20  # messages under way at once: the receive maximum of a plain Mosquitto (MQTT 5)

_LOG = logging.getLogger(__name__)
_LARGEST = 10_000_000  # octets of a message that we take: a request may have 262,144
_ANSWER = 10.0  # s that the broker has for an answer
_LOOK = 1.0  # s between looks whether it has taken longer
_LONGEST_CHARACTER = 4  # octets (UTF-8)
_AROUND = 64  # octets of a message beside topic, payload and correlation data, at most
_SAME = 3  # lines that one message has broken in a row before it is believed to be too large
TAKEN_ALWAYS = 1000  # octets that every broker is believed to take: nothing as small as a reading is ever left out
_OLD_VERSION = frozenset((1, 132))  # reason codes about the protocol version
_CREDENTIALS = frozenset((4, 5, 134, 135))  # reason codes about user and password, in both versions
_FAILED = 128  # reason codes from here on say no
#: What reason codes of MQTT 5 (2.4) mean for us; others are told in the words of the standard.
_WORDS = {
    135: "the broker's access list forbids it",
    141: "the broker has not heard of us in time",
    142: "another client uses the same client id; give each bridge its own bridge.id or mqtt.client_id",
    144: "the broker does not take this topic",
    147: "the broker takes fewer messages at once",
    149: "the message is larger than the broker takes",
    151: "the broker's quota is used up",
    152: "an administrator of the broker ended it",
    158: "the broker shares no subscriptions",
}
_TOO_LARGE, _TAKEN_OVER, _ENDED = 149, 142, 152


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says when the bridge is gone."""

    topic: str
    payload: str


class _ErrorLog(logging.Handler):
    """What paho-mqtt tells its log and nobody else: why TLS was refused."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last one."""
        self.last = record.getMessage()


class UnderWay(NamedTuple):
    """A message that the broker has not confirmed yet; ``since`` by the loop's clock, ``answered`` gets why not.

    ``beside``: octets of its correlation data.
    """

    topic: str
    payload: str
    since: float
    answered: Callable[[str], None]
    beside: int = 0

    @property
    def octets(self) -> int:
        """In all, at most."""
        return _octets(self.topic, self.payload) + self.beside


class Client(aiomqtt.Client):
    """``skipped``: topics whose last message was larger than the broker takes, and how large it was."""

    def __init__(
        self, host: str, port: int, *, protocol: aiomqtt.ProtocolVersion, skipped: dict[str, int], **options: Any
    ) -> None:
        """``options``: of aiomqtt."""
        self.version, self.skipped = protocol, skipped
        self.error_log = _ErrorLog()
        self.largest = math.inf  # octets of a message that the broker takes (told with MQTT 5, or see ``Unsaid``)
        self.reason: Exception | None = None  # why the line ended, if it broke
        self.left = 0  # the reason code with which the broker hung up (MQTT 5)
        self.at_once = IN_FLIGHT  # messages under way that the broker takes
        self._turn = asyncio.Lock()  # whoever sends waits in line
        self._free = asyncio.Event()  # one more may be under way
        self.under_way: dict[int, UnderWay] = {}  # messages that the broker has not confirmed yet
        quiet = logging.Logger("aiomqtt", logging.ERROR)  # else each message is put into words
        quiet.addHandler(self.error_log)
        super().__init__(host, port, protocol=protocol, logger=quiet, **options)
        self._client.__class__ = LeanPaho
        self.pending_calls_threshold = 2 * IN_FLIGHT
        self._given_up = False  # nobody waits for this line any more, but a thread may still be about to open it

    async def __aenter__(self) -> Self:
        """As of aiomqtt, which leaves its socket and its task behind where it is cancelled."""
        try:
            return await super().__aenter__()
        except asyncio.CancelledError:
            self._given_up = True
            self._client._sock_close()
            raise

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        if not self._given_up:
            super()._on_socket_open(client, userdata, sock)

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        if not (self._given_up and self._loop.is_closed()):
            super()._on_socket_close(client, userdata, sock)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self.largest = min(self.largest, getattr(properties, "MaximumPacketSize", math.inf))
        self.at_once = max(1, min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT)))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        if getattr(flags, "is_disconnect_packet_from_server", False):
            self.left = _code(reason_code)
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        self.ask()

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Write in the loop's next round, with whatever else is said until then; wait only where the socket is full."""
        if self._connected.done():
            self._loop.call_soon(self._write)
        else:  # in the thread that connects
            self._loop.call_soon_threadsafe(self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
            sock = self._client.socket()
            if sock is not None and sock.fileno() >= 0 and self._client.want_write():
                self._loop.add_writer(sock.fileno(), self._write)
        except Exception as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        message = self.under_way.pop(mid, None)
        if message is None:
            return
        self._free.set()
        code = _code(reason_code)
        if code == _TOO_LARGE:
            self.largest = min(self.largest, message.octets - 1)
        message.answered(_refusal(code))

    def ask(self) -> None:
        """Take note of why the line broke, if it did: asyncio logs exceptions that nobody asked for."""
        if self._disconnected.done():
            self._disconnected.exception()

    def takes(self, topic: str, payload: str, beside: int = 0) -> bool:
        """Is a message small enough? A broker hangs up on one that is not, and would do so for ever.

        ``beside``: octets of its correlation data.
        """
        if not self.skipped and _LONGEST_CHARACTER * (len(topic) + len(payload)) + beside + _AROUND <= self.largest:
            return True
        size = _octets(topic, payload) + beside
        if size <= self.largest:
            self.skipped.pop(topic, None)
            return True
        if topic not in self.skipped:
            _LOG.warning(
                "%s: %d octets are more than the broker takes (%d), so it is not sent", topic, size, self.largest
            )
        self.skipped[topic] = size
        return False

    @property
    def lost(self) -> tuple[int, str]:
        """Octets and topic of the largest message that is not confirmed."""
        return max(((message.octets, message.topic) for message in self.under_way.values()), default=(0, ""))

    async def start(
        self, topic: str, payload: str, answered: Callable[[str], None], *, retain: bool = False, **properties: Any
    ) -> None:
        """Publish with QoS 1 as soon as the broker takes one more message, and do not wait for its answer.

        ``answered`` gets "" when the broker has taken it, else why not (MQTT 5 tells that). ``properties``: of MQTT 5,
        by their names; those that are None are left out. MqttError where the line is down.
        """
        async with self._turn:
            while len(self.under_way) >= self.at_once:
                self._free.clear()
                await self._free.wait()
            sent = self._client.publish(topic, payload, 1, retain, self._as_properties(properties))
            if sent.rc:
                raise aiomqtt.MqttCodeError(sent.rc, "Could not publish message")
            now = asyncio.get_running_loop().time()
            beside = len(properties.get("CorrelationData") or b"")
            self.under_way[sent.mid] = UnderWay(topic, payload, now, answered, beside)

    async def send(self, topic: str, payload: str, *, retain: bool = False, **properties: Any) -> str:
        """``start`` it and wait for the answer. MqttError: none in time."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def answered(why: str) -> None:
            if not done.done():
                done.set_result(why)

        await self.start(topic, payload, answered, retain=retain, **properties)
        try:
            async with asyncio.timeout(_ANSWER):
                return await done
        except TimeoutError:
            raise aiomqtt.MqttError("Operation timed out") from None

    def at_hand(self) -> Iterator[aiomqtt.Message]:
        """What has come meanwhile: one a round is less than a flood brings, and fills the memory."""
        while not self._queue.empty():
            yield self._queue.get_nowait()

    async def answers_in_time(self) -> None:
        """For ever; MqttError when a message has waited too long for its answer."""
        while True:
            await asyncio.sleep(_LOOK)
            oldest = next(iter(self.under_way.values()), None)
            if oldest and asyncio.get_running_loop().time() - oldest.since > _ANSWER:
                raise aiomqtt.MqttError("Operation timed out")

    async def subscribe_to(self, filters: list[str]) -> dict[str, str]:
        """Everything that others send there, retained messages marked as such; what the broker refused, and why."""
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
        topics: Any = [(name, options if self.version is V5 else 1) for name in filters]
        codes = map(_code, await self.subscribe(topics))
        return {name: _refusal(code) for name, code in zip(filters, codes, strict=False) if code >= _FAILED}

    def _as_properties(self, wanted: dict[str, Any]) -> Properties | None:
        pairs = tuple((name, value) for name, value in wanted.items() if value is not None)
        return _properties(pairs) if pairs and self.version is V5 else None

    def why(self, error: Exception) -> str:
        """Why there is no line, in words."""
        if _reason_code(error) in _CREDENTIALS:
            return "the broker refused user name or password"
        if self.left >= _FAILED:
            return _refusal(self.left)
        return self.error_log.last or _words(error) or type(error).__name__

    def is_explained(self, error: Exception) -> bool:
        """Is it in the broker's own words, or those of TLS? Else there was no answer, however that shows."""
        by_broker = _reason_code(error) is not None or self.left >= _FAILED
        return by_broker or bool(self.error_log.last) or isinstance(_origin(error), ssl.SSLError)

    @property
    def unwanted(self) -> bool:
        """Has the broker ended this line because another client uses our id, or because it does not want us?"""
        return self.left in (_TAKEN_OVER, _ENDED)

    def may_be_the_version(self, error: Exception) -> bool:
        """Whether another protocol version is worth a try."""
        code = _reason_code(error)
        return code in _OLD_VERSION or (code is None and not isinstance(_origin(error), OSError))


@lru_cache(maxsize=64)
def _properties(pairs: tuple[tuple[str, Any], ...]) -> Properties:
    """Of a PUBLISH. They cost more than the rest of a message, and most have the same."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in pairs:
        setattr(properties, name, value)
    octets = properties.pack()  # type: ignore[no-untyped-call]
    object.__setattr__(properties, "pack", lambda: octets)
    return properties


def _code(reason: Any) -> int:
    return int(getattr(reason, "value", reason) or 0)


def _refusal(code: int) -> str:
    """Why the broker refuses, in words; "" when it does not."""
    if code < _FAILED:
        return ""
    for packet in (PacketTypes.PUBACK, PacketTypes.DISCONNECT) if code not in _WORDS else ():
        with suppress(KeyError, ValueError):  # no reason of this packet
            return ReasonCode(packet, identifier=code).getName().lower()
    return _WORDS.get(code) or f"the broker refused it with reason code {code}"


class Unsaid:
    """The largest message of a broker that does not say it (3.1.1; Mosquitto's message_size_limit), from broken lines.

    What was too large is among the unconfirmed messages, so the largest of them is too large as well.
    """

    largest: float = math.inf
    _topic, _times = "", 0

    def broken(self, client: Client, *, stood: bool) -> None:
        """A line broke. After one that had ``stood`` the broker may be another one: nothing is known of its limit."""
        if stood:
            self.largest = math.inf
        size, topic = client.lost
        self._times = self._times + 1 if topic == self._topic else 1
        self._topic = topic
        if self._times >= _SAME and size > TAKEN_ALWAYS:
            self.largest, self._times = size - 1, 0


def _octets(topic: str, payload: str) -> int:
    return len(topic.encode()) + len(payload.encode()) + _AROUND


def versions_of(config: Mqtt) -> tuple[aiomqtt.ProtocolVersion, ...]:
    """What to try, in this order, where nobody has talked to this broker yet."""
    return {"5": (V5,), "3.1.1": (V311,)}.get(config.protocol, (V5, V311))


def new_client(
    config: Mqtt,
    version: aiomqtt.ProtocolVersion,
    identifier: str,
    will: Will | None,
    context: ssl.SSLContext | None,
    skipped: dict[str, int],
) -> Client:
    """A client that is not connected yet; a clean session, as nothing depends on the broker's memory."""
    return Client(
        config.host,
        config.broker_port,
        username=config.username or None,
        password=config.password.decode() if config.password else None,
        identifier=identifier,
        protocol=version,
        skipped=skipped,
        will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
        keepalive=max(5, round(config.keepalive)),
        timeout=_ANSWER,
        tls_context=context,
        clean_session=None if version is V5 else True,
        properties=_wishes() if version is V5 else None,
        clean_start=True if version is V5 else MQTT_CLEAN_START_FIRST_ONLY,
        max_inflight_messages=0,  # ``start`` counts them
        transport="websockets" if config.transport == "websockets" else "tcp",
        websocket_path=config.websocket_path if config.transport == "websockets" else None,
        websocket_headers=dict(config.websocket_headers) or None,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # else small messages wait 40 ms
    )


def _wishes() -> Properties:
    """Of our CONNECT: the broker keeps to itself what is larger (MQTT 5), else one message could fill the memory."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = _LARGEST
    return properties


def message_of(message: aiomqtt.Message) -> Message:
    """What came, as the rest of the bridge knows it."""
    properties = message.properties
    payload = message.payload if isinstance(message.payload, bytes) else b""
    return Message(
        message.topic.value,
        payload,
        bool(message.retain),
        getattr(properties, "ResponseTopic", ""),
        getattr(properties, "CorrelationData", None),
    )


def _reason_code(error: BaseException) -> int | None:
    code = error.rc if isinstance(error, MqttConnectError) else None
    return code.value if isinstance(code, ReasonCode) else code


def _words(error: Exception) -> str:
    """For the answer of a broker with 3.1.1 aiomqtt has the words of paho's own errors: 1 would be "Out of memory"."""
    return str(error.args[0] if isinstance(error, MqttConnectError) and error.args else error)


def _origin(error: Exception) -> BaseException:
    return error.__cause__ or error.__context__ or error


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The TLS settings in force; ConfigError when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the TLS files of the broker cannot be used: {error}", key="mqtt.tls") from None
    if not tls.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
