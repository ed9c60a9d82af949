"""The fuzzed parts above the protocol: pushes, meanings, the finder, the simulated meter, the client, the bridge."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.config.seal import PREFIX, SealKey
from dlms_mqtt.bridge.requests.dispatcher import parse
from dlms_mqtt.cli.tools.decode import print_message
from dlms_mqtt.cli.tools.listen import push_json
from dlms_mqtt.client.association.association import PROPOSALS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.clock import read_clock
from dlms_mqtt.client.procedures.image import ImageTransfer
from dlms_mqtt.client.procedures.objects import identify, read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.push import Push, PushReaders, PushSource
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, DlmsMqttError, RemoteProtocolError, ResponseTimeout
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.meter.finder.evidence import judge
from dlms_mqtt.meter.finder.path_faults import changed_echo, path_fault
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import read
from dlms_mqtt.protocol.acse.messages import Aarq, ApplicationContext
from dlms_mqtt.protocol.apdu.action import ActionRequestNormal
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.get import GetRequestNormal
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.apdu.set import SetRequestNormal
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode, encode
from dlms_mqtt.protocol.axdr.text import parse_value
from dlms_mqtt.protocol.framing.wrapper import encode_frame
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys
from dlms_mqtt.simulator import Dropped, Meter, MeterServer, make_link
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.telnet import ComPort
from dlms_mqtt.simulator.replay.capture_file import Capture
from dlms_mqtt.simulator.replay.replay import ReplayServer, replay_link
from dlms_mqtt.times import parse_moment
from dlms_mqtt.transport.base import Transport
from tests.client.scripted import accepted
from tests.fake_clock import FakeClock

KEYS = Keys(Secret(bytes(range(16))), Secret(bytes(range(16, 32))), Secret(bytes(range(32, 48))))
NOW = datetime(2026, 11, 28, tzinfo=UTC)
ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
_OBISES = ("1.0.1.8.0.255", "0.0.1.0.0.255", "0.0.96.1.0.255", "0.0.97.97.0.255", "1.0.32.7.0.255", "0.0.96.3.10.255")


def in_pieces(data: bytes) -> list[bytes]:
    """The data cut at places that the data themselves choose, so that a find can be repeated."""
    step = 1 + (data[0] if data else 0) % 97
    return [data[at : at + step] for at in range(0, len(data), step)]


def pushes(data: bytes) -> None:
    """As `listen` and the bridge take them."""
    source = PushSource(name="one", keys=KEYS, accept_unauthenticated=True)
    readers = PushReaders([source, PushSource(name="other")])
    clock = count()
    events = [event for piece in in_pieces(data) for event in readers.feed("line", piece, float(next(clock)))]
    for event in [*events, *readers.feed("line", b"", 1e6, whole=True), *readers.tick(2e6)]:
        if isinstance(event, Push):
            push_json(event)
            values = PushedValues(event.notification)
            values.identity(event.system_title)
            values.readings(NOW)


def shown(data: bytes) -> None:
    """As `decode` prints it."""
    with contextlib.redirect_stdout(io.StringIO()):
        for message in explain(data, KEYS)["messages"]:
            print_message(message)


def meanings(data: bytes) -> None:
    """A value as a reading of objects of each kind."""
    value, _ = decode(data)
    for obis in _OBISES:
        read(quantity(Obis.parse(obis)), value, None)


def finder(data: bytes) -> None:
    """What the finder makes of an answer."""
    sent, received = data[: len(data) // 2], data[len(data) // 2 :]
    judge(sent, received)
    path_fault(received[:400])
    changed_echo(sent[:200], received[:200])


@cache
def _meter() -> Meter:
    return household(clock=FakeClock())


def server(framing: str, referencing: str) -> Callable[[bytes], None]:
    """The simulated meter, asked nonsense; over the wrapper whole APDUs behind a good association."""
    client = 17

    def run(data: bytes) -> None:
        session = MeterServer(_meter(), make_link(framing, _meter(), datagram=framing == "wrapper"))
        try:
            if framing == "wrapper":
                session.receive(encode_frame(_aarq(referencing), client, 1))
                assert session.opened is not None
                for piece in in_pieces(data):
                    session.receive(encode_frame(piece, client, 1))
                session.receive(encode_frame(data, client, 1))
            else:
                for piece in in_pieces(data):
                    session.receive(piece)
        except Dropped:
            pass
        finally:
            session.close()

    return run


def written(data: bytes) -> None:
    """One value into every attribute and method of one object of the simulated meter, and its time stands still."""
    value, _ = decode(data)
    meter = household(clock=FakeClock())
    session = MeterServer(meter, make_link("wrapper", meter))
    session.receive(encode_frame(_aarq("ln"), 17, 1))
    class_id, obis = sorted(meter.objects)[sum(data) % len(meter.objects)]
    item = meter.objects[class_id, obis]
    octets = encode(value)
    for attribute in item.values:
        target = AttributeDescriptor(class_id, obis, attribute)
        session.receive(encode_frame(SetRequestNormal(0xC1, target, None, octets).encode(), 17, 1))
        session.receive(encode_frame(GetRequestNormal(0xC1, target, None).encode(), 17, 1))
        for selector in (1, 2):
            selected = GetRequestNormal(0xC1, target, (selector, value))
            session.receive(encode_frame(selected.encode(), 17, 1))
    for number in item.methods:
        asked = ActionRequestNormal(0xC1, MethodDescriptor(class_id, obis, number), octets)
        session.receive(encode_frame(asked.encode(), 17, 1))


@cache
def _aarq(referencing: str) -> bytes:
    """Without a secret, for everything the client can."""
    initiate = InitiateRequest(conformance=PROPOSALS[referencing], max_pdu_size=200).encode()
    context = ApplicationContext.LN if referencing == "ln" else ApplicationContext.SN
    return Aarq(application_context=context, user_information=initiate).encode()


def com_port(data: bytes) -> None:
    """A telnet client with RFC 2217."""
    port = ComPort()
    with contextlib.suppress(RemoteProtocolError):
        for piece in in_pieces(data):
            port.receive(piece)


@cache
def _capture() -> Capture:
    document = {
        "format": "dlms-mqtt capture 1",
        "connection": {"framing": "wrapper"},
        "facts": {"conformance": ["get"], "max_pdu": 100},
        "exchanges": [["c001c100030100010800ff0200", "c401c10006000000ff"]],
    }
    return Capture(document)


def replayed(data: bytes) -> None:
    """A capture, asked nonsense."""
    replay = ReplayServer(_capture(), replay_link(_capture()))
    for piece in in_pieces(data):
        replay.receive(encode_frame(piece, 16, 1))
    replay.receive(data)


class Nonsense(Transport):
    """A meter that accepts the association and answers everything else with pieces of the input."""

    name = "nonsense"

    def __init__(self, data: bytes) -> None:
        self._pieces = [accepted("ln", 200).encode(), *in_pieces(data), data]
        self._due = False
        self.is_open = False

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def write(self, data: bytes) -> None:
        if not self.is_open:
            raise ConnectionLost("closed")
        self._due = True

    async def drain(self) -> None:
        pass

    async def read(self, timeout: float | None) -> bytes:
        if not self._pieces:
            raise ConnectionLost("nothing is left to say")
        if not self._due:
            raise ResponseTimeout("silence")
        self._due = False
        return encode_frame(self._pieces.pop(0), 1, 16)

    def discard(self) -> bytes:
        return b""


class OddMeter(Transport):
    """A meter with whole frames and right heads with the input inside: values, lists, blocks, object lists, rows."""

    name = "odd"

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._answer = data, 0, b""
        self.is_open = False

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def _some(self, most: int) -> bytes:
        """The next octets of the input; at its end it begins anew."""
        found = (self._data * 2)[self._at : self._at + most]
        self._at = (self._at + most) % max(1, len(self._data))
        return found

    def write(self, data: bytes) -> None:
        request = data[8:]
        invoke = request[2:3]
        if request[:1] == b"\x60":
            self._answer = accepted("ln", 200).encode()
        elif request[:2] == b"\xc0\x03":
            odd = self._some(1) or b"\x00"
            count = bytes((max(0, request[3] + odd[0] % 3 - 1),))
            values = b"".join(b"\x00" + self._some(1 + odd[0] % 7) for _ in range(request[3]))
            self._answer = b"\xc4\x03" + invoke + count + values
        elif request[:2] == b"\xc0\x02":
            self._answer = self._block(invoke, int.from_bytes(request[3:7], "big") + 1)
        elif request[:2] == b"\xc0\x01" and request[3:5] in (b"\x00\x07", b"\x00\x0f"):
            self._answer = self._block(invoke, 1)
        else:
            self._answer = (b"\xc7\x01" + invoke + b"\x00" if request[0] == 0xC3 else b"\xc4\x01" + invoke) + (
                b"\x00" + self._some(9)
            )

    def _block(self, invoke: bytes, number: int) -> bytes:
        part = self._some(40)
        part = (b"\x01\x05" if number == 1 else b"") + part
        last = number > 3 or (part[-1:] or b"\x01")[0] & 1
        return b"\xc4\x02" + invoke + bytes((last,)) + number.to_bytes(4, "big") + b"\x00" + bytes((len(part),)) + part

    async def drain(self) -> None:
        pass

    async def read(self, timeout: float | None) -> bytes:
        if not self._answer:
            raise ResponseTimeout("silence")
        answer, self._answer = self._answer, b""
        return encode_frame(answer, 1, 16)

    def discard(self) -> bytes:
        return b""


_ASKED: tuple[Callable[[DlmsClient], Awaitable[Any]], ...] = (
    lambda client: client.get(ENERGY),
    lambda client: client.get_many([ENERGY, ENERGY]),
    lambda client: client.read([ENERGY]),
    lambda client: client.set(ENERGY, Data(DataType.OCTET_STRING, bytes(300))),
    lambda client: client.invoke(MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), 1)),
    lambda client: read_clock(client, tz=UTC, now=lambda: NOW),
    identify,
    read_objects,
    lambda client: read_profile(client, Obis.parse("1.0.99.1.0.255"), Selection(first=1, count=2)),
    lambda client: ImageTransfer(client, b"image", b"name").run(),
)


def client(data: bytes) -> None:
    """All that the client asks, answered with nonsense."""
    settings = ConnectionSettings(tcp=("192.0.2.1", 4059), framing="wrapper", timeout=0.01)

    asyncio.run(_ask_all(settings, Nonsense(data), len(data) % len(_ASKED)))


def odd_answers(data: bytes) -> None:
    """All that the client asks, answered with valid frames and odd contents."""
    settings = ConnectionSettings(tcp=("192.0.2.1", 4059), framing="wrapper", timeout=0.01)
    asyncio.run(_ask_all(settings, OddMeter(data), len(data) % len(_ASKED)))


async def _ask_all(settings: ConnectionSettings, line: Transport, first: int) -> None:
    async with DlmsClient(settings, transport=line) as asking:
        for question in _ASKED[first:]:
            with contextlib.suppress(DlmsMqttError):
                await question(asking)


def texts(data: bytes) -> None:
    """What people and MQTT clients write."""
    text = data.decode("latin-1")
    for kind in DataType:
        _tried(lambda kind=kind: parse_value(text, kind))  # type: ignore[misc]
    _tried(lambda: object_of(text))
    _tried(lambda: Obis.parse(text))
    _tried(lambda: parse_moment(text, UTC, NOW))


def _tried(call: Callable[[], Any]) -> None:
    with contextlib.suppress(DlmsMqttError):
        call()


def requests(data: bytes) -> None:
    """Messages to the bridge."""
    for verb in ("set", "do", "request"):
        _tried(lambda verb=verb: parse(Address("house", verb, "read"), data, lambda *_: None))  # type: ignore[misc]


@cache
def _seal() -> SealKey:
    return SealKey(bytes(range(32)))


def sealed(data: bytes) -> None:
    """A sealed secret."""
    import base64

    _tried(lambda: _seal().open(PREFIX + base64.b64encode(data).decode(), "house", {}))
    _seal().open(PREFIX + data.decode("latin-1"), "house", {})
