"""What is fuzzed: one row per parser entry point. Whatever the bytes are, only errors of our own tree may come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.cosem.object_list import add_access_rights_sn, decode_object_list, decode_object_list_sn
from dlms_mqtt.cosem.structures import ScalerUnit, capture_objects, images
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.protocol.apdu import decode_apdu, split_apdus
from dlms_mqtt.protocol.apdu.action import decode_outcomes
from dlms_mqtt.protocol.apdu.results import decode_results
from dlms_mqtt.protocol.apdu.set import decode_values
from dlms_mqtt.protocol.apdu.short_name import decode_read_blocks
from dlms_mqtt.protocol.axdr.data import decode, decode_rows, encode, fill_nulls
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.echo import EchoFilter
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.hdlc.parameters import decode_parameters
from dlms_mqtt.protocol.framing.link import Link, Side
from dlms_mqtt.protocol.framing.mode_e import Done, Failed, Listen, SignOn, SignOnServer, SignOnSettings
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.framing.stream.decoder import StreamDecoder
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.security import Cipher, Security
from tests.fuzz import rooms
from tests.fuzz.rooms import KEYS, in_pieces

Run = Callable[[bytes], object]

TITLE = b"KAM\x00\x00\x00\x00\x01"


class Target(NamedTuple):
    """A parser entry point."""

    name: str
    run: Run


def _link(make: Callable[[], Link]) -> Run:
    def run(data: bytes) -> None:
        link = make()
        link.connect() if getattr(link, "side", None) is Side.CLIENT else None
        for piece in in_pieces(data):
            link.receive(piece)
            while link.next_event() is not None:
                pass
            link.data_to_send()
        link.quiet()
        link.repeat()
        link.data_to_send()

    return run


def _connection(side: Side, make: Callable[[], Link], ciphered: bool) -> Run:
    """A conversation that has begun, with ciphering and general blocks; every event is taken until it is given up."""

    def run(data: bytes) -> None:
        connection = Connection(side, make())
        if side is Side.CLIENT or isinstance(connection.link, BareLink | WrapperLink):
            connection.connect()
            connection.next_event()
        connection.pre_establish()
        connection.cipher = cipher() if ciphered else None
        connection.blocks = BlockTransfer(max_pdu=100, window=3, follow=side is Side.SERVER)
        for piece in in_pieces(data):
            connection.receive(piece)
            _take_all(connection)

    return run


def _take_all(connection: Connection) -> None:
    while True:
        try:
            if connection.next_event() is None:
                connection.data_to_send()
                return
        except DlmsMqttError:
            connection.abandon()


def cipher() -> Cipher:
    """The ciphering of an association, fresh."""
    return Cipher(
        suite=0,
        security=Security.BOTH,
        keys=KEYS,
        system_title=TITLE,
        next_counter=lambda: 1,
        peer_title=TITLE,
        accept_unauthenticated=True,
        warn=lambda _: None,
    )


def _stream(data: bytes) -> None:
    decoder = StreamDecoder()
    for second, piece in enumerate(in_pieces(data)):
        decoder.feed(piece, float(second))
    decoder.tick(1e6)
    decoder.finish()


def _sign_on(data: bytes) -> None:
    machine = SignOn(SignOnSettings())
    pieces = iter(in_pieces(data))
    for _ in range(500):
        action = machine.next_action()
        if isinstance(action, Done | Failed):
            return
        if isinstance(action, Listen):
            piece = next(pieces, None)
            machine.receive(piece) if piece else machine.timeout()


def _sign_on_server(data: bytes) -> None:
    server = SignOnServer(Identification("DMQ", "5", ("2",), "SIM"))
    server.start()
    for piece in in_pieces(data):
        server.receive(piece)


def _echo(data: bytes) -> None:
    echo = EchoFilter()
    echo.sent(data[::2])
    for piece in in_pieces(data):
        echo.strip(piece)
    echo.flush()


def _decoded(data: bytes) -> None:
    value, _ = decode(data)
    value.plain()
    value.tree()
    encode(value)


def _rows(data: bytes) -> None:
    rows = decode_rows(data, times=[0])
    fill_nulls(rows.rows, times=[0])


def _hdlc(side: Side) -> Callable[[], HdlcLink]:
    return lambda: HdlcLink(side, window_receive=3)


def _wrapper(side: Side, datagram: bool = False) -> Callable[[], WrapperLink]:
    return lambda: WrapperLink(side, datagram=datagram)


C, S = Side.CLIENT, Side.SERVER
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("data", _decoded),
        Target("rows", _rows),
        Target("apdu", decode_apdu),
        Target("results", decode_results),
        Target("values", decode_values),
        Target("outcomes", decode_outcomes),
        Target("read blocks", decode_read_blocks),
        Target("object list", decode_object_list),
        Target("object list sn", decode_object_list_sn),
        Target("rights sn", lambda data: add_access_rights_sn((), data)),
        Target("capture objects", lambda data: capture_objects(decode(data)[0])),
        Target("scaler", lambda data: ScalerUnit.from_data(decode(data)[0])),
        Target("time", lambda data: DateTime.decode(data[:12]).to_datetime()),
        Target("unprotect", lambda data: cipher().open(data)),
        Target("hdlc parameters", decode_parameters),
        Target("hdlc client", _link(_hdlc(C))),
        Target("hdlc server", _link(_hdlc(S))),
        Target("wrapper", _link(_wrapper(C))),
        Target("wrapper datagrams", _link(_wrapper(S, True))),
        Target("connection hdlc", _connection(C, _hdlc(C), False)),
        Target("connection hdlc server", _connection(S, _hdlc(S), True)),
        Target("connection wrapper", _connection(C, _wrapper(C), True)),
        Target("connection bare", _connection(C, lambda: BareLink(C), True)),
        Target("connection bare server", _connection(S, lambda: BareLink(S), False)),
        Target("stream", _stream),
        Target("explain", lambda data: explain(data, KEYS, TITLE)),
        Target("sign-on", _sign_on),
        Target("sign-on server", _sign_on_server),
        Target("echo", _echo),
        Target("split apdus", split_apdus),
        Target("images", lambda data: images(decode(data)[0])),
        Target("pushes", rooms.pushes),
        Target("decode command", rooms.shown),
        Target("meanings", rooms.meanings),
        Target("finder", rooms.finder),
        Target("simulated meter", rooms.server("wrapper", "ln")),
        Target("simulated meter sn", rooms.server("wrapper", "sn")),
        Target("simulated meter hdlc", rooms.server("hdlc", "ln")),
        Target("simulated meter written", rooms.written),
        Target("rfc 2217", rooms.com_port),
        Target("replay", rooms.replayed),
        Target("client", rooms.client),
        Target("odd answers", rooms.odd_answers),
        Target("texts", rooms.texts),
        Target("requests", rooms.requests),
        Target("sealed", rooms.sealed),
    )
}
