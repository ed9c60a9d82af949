"""A meter that answers as a case says: right but for its rules. Over HDLC, the wrapper, TCP and UDP.

A case is YAML: ``meter`` (framing, conformance, max_pdu, max_info, block, aare, values, object_list, rules, greeting,
push (hex, every, gap), address_only, answers_from, answers_to, llc_each, length8, dead), ``steps`` (commands with what
must and must not be said). A rule: ``when`` a pattern over the request in hexadecimal, ``times``, and one of reply (II:
the invoke id), silence, drop, control (an HDLC control field instead of an answer), list (cut-choice, fewer, more,
rest). ``decode``: captures and what is said of them; ``bridge``: the configuration of a meter, and what it publishes.
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.octets import fcs_bytes

LLC = b"\xe6\xe7\x00"
ATTRIBUTES = {1: 2, 3: 3, 7: 8, 8: 9}
UA_HEAD = bytes.fromhex("8180140502")
WINDOWS = bytes.fromhex("070400000001080400000001")


def frame(destination: bytes, source: bytes, control: int, information: bytes = b"", **form: bool) -> bytes:
    """One HDLC frame; ``segmented``, ``length8`` (a length field of eight bits)."""
    length = 5 + len(destination) + len(source) + (len(information) + 2 if information else 0)
    high = 0 if form.get("length8") else length >> 8 & 7
    head = bytes((0xA0 | 8 * form.get("segmented", False) | high, length & 255)) + destination + source
    body = head + bytes((control,))
    body += fcs_bytes(body)
    if information:
        body += information
        body += fcs_bytes(body)
    return b"\x7e" + body + b"\x7e"


def length_of(count: int) -> bytes:
    """An A-XDR length."""
    if count < 0x80:
        return bytes((count,))
    return b"\x81" + bytes((count,)) if count < 0x100 else b"\x82" + struct.pack(">H", count)


def octets(value: bytes) -> bytes:
    """An octet-string."""
    return b"\x09" + length_of(len(value)) + value


def structure(*items: bytes) -> bytes:
    """A structure of encoded items."""
    return b"\x02" + length_of(len(items)) + b"".join(items)


def array(items: list[bytes]) -> bytes:
    """An array of encoded items."""
    return b"\x01" + length_of(len(items)) + b"".join(items)


def name(text: str) -> bytes:
    """Six octets of an OBIS code."""
    parts = [int(part) for part in text.split(".")]
    return bytes(parts + [255] * (6 - len(parts)))


def unhex(text: str) -> bytes:
    """Octets; blanks mean nothing."""
    return bytes.fromhex(re.sub(r"\s", "", text))


REGISTERS = (
    ("1.0.1.8.0", b"\x06" + struct.pack(">I", 1234567), 0, 30),
    ("1.0.2.8.0", b"\x06" + struct.pack(">I", 7), 0, 30),
    ("1.0.32.7.0", b"\x12" + struct.pack(">H", 2301), -1, 35),
    ("1.0.31.7.0", b"\x12" + struct.pack(">H", 150), -2, 33),
    ("1.0.1.7.0", b"\x06" + struct.pack(">I", 456), 0, 27),
)


class ScriptedMeter:
    """Answers requests (bytes in, APDUs out); knows no line."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.requests: list[bytes] = []
        self._hits: dict[int, int] = {}
        self._parts: list[bytes] = []
        self.values: dict[tuple[int, bytes, int], bytes | int] = {}
        for code, value, scaler, unit in REGISTERS:
            self.values[3, name(code), 1] = octets(name(code))
            self.values[3, name(code), 2] = value
            self.values[3, name(code), 3] = structure(b"\x0f" + struct.pack("b", scaler), bytes((0x16, unit)))
        self.values[1, name("0.0.42.0.0"), 2] = octets(b"TST0000000000001")
        self.values[8, name("0.0.1.0.0"), 2] = octets(unhex("07e80501030000 00ff 8000 00"))
        for key, value in (case.get("values") or {}).items():
            class_id, code, attribute = re.fullmatch(r"(\d+)/([\d.]+):(-?\d+)", key).groups()  # type: ignore[union-attr]
            self.values[int(class_id), name(code), int(attribute)] = value if isinstance(value, int) else unhex(value)

    def objects(self) -> bytes | int:
        """The object list, or the code of a refusal."""
        if "object_list" in self.case:
            given = self.case["object_list"]
            return given if isinstance(given, int) else unhex(given)
        seen: dict[tuple[int, bytes], set[int]] = {}
        for class_id, code, attribute in self.values:
            seen.setdefault((class_id, code), set()).add(attribute)
        entries = [self._entry(class_id, code, most) for (class_id, code), most in seen.items()]
        return array(entries)

    @staticmethod
    def _entry(class_id: int, code: bytes, attributes: set[int]) -> bytes:
        most = ATTRIBUTES.get(class_id, max(attributes))
        rights = [structure(bytes((15, number)), b"\x16\x01", b"\x00") for number in range(1, most + 1)]
        class_octets = b"\x12" + struct.pack(">H", class_id)
        return structure(class_octets, bytes((0x11, class_id == 7)), octets(code), structure(array(rights), array([])))

    def answer(self, request: bytes) -> list[bytes | int]:
        """APDUs, or HDLC control fields. ConnectionError: hang up."""
        self.requests.append(request)
        for index, rule in enumerate(self.case.get("rules") or ()):
            if re.search(rule["when"], request.hex()) and self._hits.get(index, 0) < rule.get("times", 10**9):
                self._hits[index] = self._hits.get(index, 0) + 1
                return self._by_rule(rule, request)
        return [self._rightly(request)]

    def _by_rule(self, rule: dict[str, Any], request: bytes) -> list[bytes | int]:
        if rule.get("drop"):
            raise ConnectionError
        if rule.get("silence"):
            return []
        if "control" in rule:
            return [int(str(rule["control"]), 16)]
        if "list" in rule:
            return [self._list(request, rule["list"])]
        return [unhex(text.replace("II", f"{request[2]:02x}")) for text in rule["reply"]]

    def _rightly(self, request: bytes) -> bytes:
        tag, choice, invoke = (*request, 0, 0)[:3]
        if tag == 0x60:
            return self._aare()
        if tag == 0x62:
            return unhex("6303800100")
        if tag == 0xC1:
            return bytes((0xC5, 1, invoke, 0))
        if tag == 0xC3:
            return bytes((0xC7, 1, invoke, 0, 0))
        if (tag, choice) == (0xC0, 1):
            return self._one(invoke, self._get(request[3:]))
        if (tag, choice) == (0xC0, 2):
            return self._block(invoke, int.from_bytes(request[3:7], "big") + 1)
        return self._list(request, "") if (tag, choice) == (0xC0, 3) else unhex("d80102")

    def _aare(self) -> bytes:
        if "aare" in self.case:
            return unhex(self.case["aare"])
        conformance = unhex(self.case.get("conformance", "00101d"))
        initiate = unhex("0800065f1f0400") + conformance + struct.pack(">HH", self.case.get("max_pdu", 1024), 7)
        body = unhex("a109060760857405080101a203020100a305a103020100be")
        body += bytes((len(initiate) + 2, 4, len(initiate))) + initiate
        return b"\x61" + length_of(len(body)) + body

    def _get(self, item: bytes) -> bytes | int:
        class_id, code, attribute = int.from_bytes(item[:2], "big"), item[2:8], item[8]
        return self.objects() if (class_id, attribute) == (15, 2) else self.values.get((class_id, code, attribute), 4)

    def _one(self, invoke: int, value: bytes | int) -> bytes:
        if isinstance(value, int):
            return bytes((0xC4, 1, invoke, 1, value))
        size = self.case.get("block", 0)
        if size and len(value) > size:
            self._parts = [value[at : at + size] for at in range(0, len(value), size)]
            return self._block(invoke, 1)
        return bytes((0xC4, 1, invoke, 0)) + value

    def _block(self, invoke: int, number: int) -> bytes:
        part, last = self._parts[number - 1], number == len(self._parts)
        return bytes((0xC4, 2, invoke, last)) + struct.pack(">I", number) + b"\x00" + length_of(len(part)) + part

    def _list(self, request: bytes, how: str) -> bytes:
        values = [self._get(request[4 + 10 * index :]) for index in range(request[3])]
        results = [bytes((1, value)) if isinstance(value, int) else b"\x00" + value for value in values]
        if how == "cut-choice":
            results[1] = results[1][1:]
        if how == "fewer":
            results.pop()
        if how == "more":
            results.append(results[0])
        rest = b"\x00\x00" if how == "rest" else b""
        return bytes((0xC4, 3, request[2])) + length_of(len(results)) + b"".join(results) + rest


class Lines:
    """The meter on TCP, or UDP, in a loop of its own thread."""

    def __init__(self, meter: ScriptedMeter, *, udp: bool = False) -> None:
        self.meter, self._udp = meter, udp
        self.port = self.connections = 0

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        if self._udp:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.meter), ("127.0.0.1", 0))
            self.port, self._server = transport.get_extra_info("sockname")[1], transport
            return
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port, self._server = server.sockets[0].getsockname()[1], server  # type: ignore[assignment]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        case, pushing = self.meter.case, None
        self.connections += 1
        try:
            if "greeting" in case:
                writer.write(unhex(case["greeting"]))
            if "push" in case:
                pushing = asyncio.create_task(self._push(writer))
            await (self._hdlc if case.get("framing") == "hdlc" else self._wrapper)(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if pushing is not None:
                pushing.cancel()
            writer.close()

    async def _push(self, writer: asyncio.StreamWriter) -> None:
        push = self.meter.case["push"]
        while True:
            for text in push["hex"]:
                writer.write(unhex(text))
                await writer.drain()
                await asyncio.sleep(push.get("gap", 0))
            await asyncio.sleep(push.get("every", 0.2))

    async def _wrapper(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, source, destination, length = struct.unpack(">HHHH", await reader.readexactly(8))
            for answer in self.meter.answer(await reader.readexactly(length)):
                assert isinstance(answer, bytes)
                writer.write(struct.pack(">HHHH", 1, destination, source, len(answer)) + answer)
            await writer.drain()

    async def _hdlc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        station, buffer = _Station(self.meter, writer.write), b""
        while data := await reader.read(4096):
            buffer += data
            while (start := buffer.find(b"\x7e")) >= 0:
                buffer = buffer[start:].lstrip(b"\x7e")
                length = (buffer[0] & 7) << 8 | buffer[1] if len(buffer) > 1 else 0
                if not length or len(buffer) <= length:
                    buffer = b"\x7e" + buffer
                    break
                whole, buffer = buffer[:length], buffer[length:]
                if not self.meter.case.get("dead"):
                    station.take(whole)
            await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, meter: ScriptedMeter) -> None:
        self._meter = meter

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        _, source, destination, _ = struct.unpack(">HHHH", data[:8])
        try:
            answers = self._meter.answer(data[8:])
        except ConnectionError:
            answers = []
        for answer in answers:
            assert isinstance(answer, bytes)
            self._transport.sendto(struct.pack(">HHHH", 1, destination, source, len(answer)) + answer, address)


class _Station:
    """The secondary station of one link, window 1."""

    def __init__(self, meter: ScriptedMeter, write: Callable[[bytes], Any]) -> None:
        self._meter, self._write = meter, write
        self._sent = self._received = 0
        self._queue: list[bytes] = []
        self._part = b""

    def take(self, whole: bytes) -> None:
        if fcs_bytes(whole[:-2]) != whole[-2:]:
            return
        case = self._meter.case
        at = 2 + next(n for n, octet in enumerate(whole[2:], 1) if octet & 1)
        end = at + next(n for n, octet in enumerate(whole[at:], 1) if octet & 1)
        if case.get("address_only") and whole[2:at] != unhex(case["address_only"]):
            return
        self._us = unhex(case["answers_from"]) if "answers_from" in case else whole[2:at]
        self._them = unhex(case["answers_to"]) if "answers_to" in case else whole[at:end]
        control, information = whole[end], whole[end + 3 : -2] if len(whole) > end + 3 else b""
        if control == 0x93:
            self._sent = self._received = 0
            size = case.get("max_info", 128).to_bytes(2, "big")
            self._say(0x73, UA_HEAD + size + b"\x06\x02" + size + WINDOWS)
        elif control == 0x53:
            self._say(0x73)
        elif not control & 1:
            self._information(information, segmented=bool(whole[0] & 8))
        elif control & 15 == 1:
            self._next() if self._queue else self._ready()

    def _say(self, control: int, information: bytes = b"", *, segmented: bool = False) -> None:
        length8 = self._meter.case.get("length8", False)
        self._write(frame(self._them, self._us, control, information, segmented=segmented, length8=length8))

    def _ready(self) -> None:
        self._say(0x11 | self._received << 5)

    def _next(self) -> None:
        information = self._queue.pop(0)
        control = self._received << 5 | 0x10 | self._sent << 1
        self._say(control, information, segmented=bool(self._queue))
        self._sent = self._sent + 1 & 7

    def _information(self, information: bytes, *, segmented: bool) -> None:
        self._received = self._received + 1 & 7
        self._part += information
        if segmented:
            return self._ready()
        request, self._part = self._part[3:], b""
        answers = self._meter.answer(request)
        if not answers:
            self._ready()
        for answer in answers:
            if isinstance(answer, int):
                self._received = self._received - 1 & 7
                self._say(answer, unhex("540010") if answer == 0x97 else b"")
            else:
                self._queue = self._cut(answer)
                self._next()
        return None

    def _cut(self, answer: bytes) -> list[bytes]:
        size = self._meter.case.get("max_info", 128)
        if self._meter.case.get("llc_each"):
            return [LLC + answer[at : at + size - 3] for at in range(0, len(answer), size - 3)]
        return [(LLC + answer)[at : at + size] for at in range(0, len(answer) + 3, size)]


@contextmanager
def at_work(case: dict[str, Any], *, udp: bool = False) -> Iterator[Lines]:
    """The meter of a case, in a thread: the command line has a loop of its own."""
    lines = Lines(ScriptedMeter(case), udp=udp)
    loop = asyncio.new_event_loop()

    def run(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(60)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    run(lines.start())
    try:
        yield lines
    finally:
        run(_end(lines))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _end(lines: Lines) -> None:
    lines._server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
