"""The same bytes decoded by every library, results checked: GET answer, profile, ciphered push, object list."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from benchmarks import samples
from benchmarks.clients import quiet_dlms_cosem
from benchmarks.contest import OURS, Table, seconds_each, take_turns

ROWS, OBJECTS = 2000, 300
LAST = samples.START + (ROWS - 1) * samples.PERIOD
Work = Callable[[], Any]
Works = list[Work | None]  # one per job; None: it has nothing for that


class Job(NamedTuple):
    """What is decoded, how often faster we are to be, and how the result is checked."""

    name: str
    target: float
    check: Callable[[Any], bool]


JOBS = (
    Job("HDLC frame with a GET answer", 3, lambda value: value == 12345678),
    Job("profile, 2,000 rows x 6", 10, lambda rows: _rows_right(rows)),
    Job("ciphered push, 439 octets", 3, lambda value: value == 123456),
    Job("the same, with codes and units", 3, lambda value: value == 123456),
    Job("view of 300 objects with rights", 4, lambda objects: len(objects) == OBJECTS),
)


def _rows_right(rows: Any) -> bool:
    moment, last = rows[-1][0], rows[-1][-1]
    moment = moment if isinstance(moment, datetime) else moment.value  # gurux has a date-time of its own
    moved = moment.replace(tzinfo=None) - LAST.replace(tzinfo=None)
    return len(rows) == ROWS and abs(moved) <= timedelta(0) and last == 1_000_000 + (ROWS - 1) * 17


def main() -> None:
    """Print the table."""
    logging.disable(logging.CRITICAL)
    contenders = {OURS: ours(), "gurux-dlms": gurux(), "dlms-cosem": dlms_cosem(), "pydlms-client": pydlms()}
    table = Table()
    for index, job in enumerate(JOBS):
        works = {name: works[index] for name, works in contenders.items() if works[index] is not None}
        for name, work in works.items():
            if not job.check(work()):
                raise SystemExit(f"{name} decodes '{job.name}' wrongly")
        figures = take_turns({name: _timed(work) for name, work in works.items()}, 3, min)
        shown = {name: seconds * 1000 for name, seconds in figures.items()}
        table.row(f"{job.name}, ms", shown, more=False, form=".4f", target=job.target)
    logging.disable(logging.NOTSET)


def _timed(work: Work) -> Callable[[], float]:
    return lambda: seconds_each(work)


def ours() -> Works:
    """dlms-mqtt: the parts that the client and the listener use."""
    from dlms_mqtt.cosem.object_list import decode_object_list
    from dlms_mqtt.meter.push.layouts import push_values
    from dlms_mqtt.protocol.apdu import decode_apdu
    from dlms_mqtt.protocol.axdr.data import decode_rows
    from dlms_mqtt.protocol.framing.hdlc.frame import FrameParser
    from dlms_mqtt.protocol.framing.hdlc.link import LLC
    from dlms_mqtt.protocol.framing.link import Side, Statistics
    from dlms_mqtt.protocol.security import PeerCounters

    frame, buffer, view = samples.get_frame(), samples.buffer(ROWS), samples.view(OBJECTS)
    _, ciphered = samples.push()
    parser, cipher = FrameParser(Statistics()), samples.cipher()

    def answer() -> Any:
        parser.feed(frame)
        return decode_apdu(parser.next().information[len(LLC[Side.SERVER]) :]).value.value

    def message() -> Any:
        cipher.peer_counters = PeerCounters()
        return decode_apdu(cipher.open(ciphered).plaintext)

    return [
        answer,
        lambda: decode_rows(buffer, times=[0]).rows,
        lambda: message().value.value[1].value,
        lambda: push_values(message())[0].data.value,
        lambda: decode_object_list(view),
    ]


def gurux() -> Works:
    """gurux-dlms: what its client does with a reply."""
    from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
    from gurux_dlms.enums import Authentication, InterfaceType, Security
    from gurux_dlms.objects import GXDLMSCaptureObject, GXDLMSClock, GXDLMSData, GXDLMSProfileGeneric, GXDLMSRegister
    from gurux_dlms.secure import GXDLMSSecureClient

    frame, buffer, view = samples.get_frame(), samples.buffer(ROWS), samples.view(OBJECTS)
    _, ciphered = samples.push()
    client = GXDLMSClient(True, 16, 1, Authentication.NONE, None, InterfaceType.HDLC)
    profile = GXDLMSProfileGeneric(str(samples.PROFILE))
    for column in (
        GXDLMSClock(),
        GXDLMSData("0.0.96.10.1.255"),
        *(GXDLMSRegister(str(o)) for o in samples.REGISTERS[:4]),
    ):
        profile.captureObjects.append((column, GXDLMSCaptureObject(2, 0)))
    nowhere = io.StringIO()
    secure = GXDLMSSecureClient(True, 16, 1, Authentication.NONE, None, InterfaceType.PDU)
    secure.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    secure.ciphering.blockCipherKey = samples.KEY
    secure.ciphering.authenticationKey = samples.AUTHENTICATION_KEY

    def answer() -> Any:
        reply = GXReplyData()
        client.settings.resetFrameSequence()
        client.getData(GXByteBuffer(frame), reply)
        return reply.value

    def rows() -> Any:
        from gurux_dlms.internal._GXCommon import _GXCommon
        from gurux_dlms.internal._GXDataInfo import _GXDataInfo

        profile.buffer = []
        client.updateValue(profile, 2, _GXCommon.getData(client.settings, GXByteBuffer(buffer), _GXDataInfo()))
        return profile.buffer

    def push() -> Any:
        reply = GXReplyData()
        with redirect_stdout(nowhere):  # it says on standard output that it deciphers
            secure.getData(GXByteBuffer(ciphered), reply)
        return reply.value[1]

    def objects() -> Any:
        return client.parseObjects(GXByteBuffer(view), True)

    return [answer, rows, push, None, objects]


def dlms_cosem() -> Works:
    """dlms-cosem: frame, APDU and data parsers."""
    from dlms_cosem import cosem, enumerations, security
    from dlms_cosem.hdlc.frames import InformationFrame
    from dlms_cosem.parsers import AssociationObjectListParser, ProfileGenericBufferParser
    from dlms_cosem.protocol import xdlms
    from dlms_cosem.protocol.xdlms.get import GetResponseFactory
    from dlms_cosem.utils import parse_as_dlms_data

    quiet_dlms_cosem()
    frame, buffer, view = samples.get_frame(), samples.buffer(ROWS), samples.view(OBJECTS)
    _, ciphered = samples.push()
    interface = enumerations.CosemInterface
    columns = [
        cosem.CosemAttribute(interface.CLOCK, cosem.Obis(0, 0, 1, 0, 0), 2),
        cosem.CosemAttribute(interface.DATA, cosem.Obis(0, 0, 96, 10, 1), 2),
        *(cosem.CosemAttribute(interface.REGISTER, cosem.Obis(*obis), 2) for obis in samples.REGISTERS[:4]),
    ]
    profile = ProfileGenericBufferParser(capture_objects=columns, capture_period=15)

    def push() -> Any:
        message = xdlms.GeneralGlobalCipher.from_bytes(ciphered)
        plain = security.decrypt(
            security_control=message.security_control,
            system_title=message.system_title,
            invocation_counter=message.invocation_counter,
            key=samples.KEY,
            cipher_text=message.ciphered_text,
            auth_key=samples.AUTHENTICATION_KEY,
        )
        return parse_as_dlms_data(xdlms.DataNotification.from_bytes(plain).body)[1]

    def rows() -> Any:
        return [[column.value for column in row] for row in profile.parse_bytes(buffer)]

    return [
        lambda: parse_as_dlms_data(GetResponseFactory.from_bytes(InformationFrame.from_bytes(frame).payload[3:]).data),
        rows,
        push,
        None,
        lambda: AssociationObjectListParser.parse_bytes(view),
    ]


def pydlms() -> Works:
    """pydlms-client: frame reader, APDU and data decoders, push decoder."""
    from pydlms.apdu.xdlms import decode_apdu
    from pydlms.client import _ln_entry, _with_rights
    from pydlms.cosem.data import decode_data
    from pydlms.cosem.profile import typed_rows
    from pydlms.hdlc.framing import FrameReader, strip_llc
    from pydlms.obis import ObisCode
    from pydlms.push import PushDecoder
    from pydlms.security.context import SecurityContext

    frame, buffer, view = samples.get_frame(), samples.buffer(ROWS), samples.view(OBJECTS)
    _, ciphered = samples.push()
    reader = FrameReader()
    classes = (8, 1, 3, 3, 3, 3)
    names = (samples.CLOCK, samples.CLOCK, *samples.REGISTERS[:4])
    columns = [(class_id, ObisCode(*obis), 2, 0) for class_id, obis in zip(classes, names, strict=True)]

    def answer() -> Any:
        (found,) = reader.feed(frame)
        return decode_apdu(strip_llc(found.info)).result.data.to_python()

    def rows() -> Any:
        data, _ = decode_data(buffer)
        found = typed_rows(columns, [row.value for row in data.value])
        return [[row[0].to_datetime(), *row[1:]] for row in found]

    def push() -> Any:
        context = SecurityContext(samples.KEY, samples.AUTHENTICATION_KEY, client_system_title=b"12345678")
        return PushDecoder(security=context).decode_apdu(ciphered).records[0].raw

    def objects() -> Any:
        data, _ = decode_data(view)
        return _with_rights([_ln_entry(item) for item in data.value])

    return [answer, rows, push, push, objects]
