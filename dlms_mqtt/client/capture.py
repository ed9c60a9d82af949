"""A session written down so that it can be played again and shown to anybody: frames with times, questions and answers.

``Recorder`` listens on a transport; ``Anonymiser`` replaces numbers, titles and secrets by others of the same length,
the same one by the same one everywhere. What was ciphered is kept in plain, because no key may go with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.protocol.framing.detect import Message, StreamDecoder
from dlms_mqtt.protocol.framing.hdlc_frame import Frame, FrameParser
from dlms_mqtt.protocol.framing.link import Statistics
from dlms_mqtt.protocol.security import Cipher, Unprotected
from dlms_mqtt.transport.base import SerialFormat, Transport

FORMAT = "dlms-mqtt-capture-1"
SENT, RECEIVED = ">", "<"
_WINDOW = 4  # octets of a number that are enough to know it again where a frame cuts it in two
_SHORTEST = 4
_ASSOCIATING = range(0x60, 0x64)
_LEFT_OUT = {"serial", "tcp", "udp", "iec_address", "system_title", "invocation_counter", "wake_up"}


@dataclass(slots=True)
class Recorder(Transport):
    """A transport that writes down what goes through another one: seconds since the start, direction, octets."""

    inner: Transport
    clock: Callable[[], float]
    log: list[tuple[float, str, bytes]] = field(default_factory=list)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.name = self.inner.name
        self.datagram = self.inner.datagram
        self.started = self.clock()

    def _note(self, direction: str, data: bytes) -> bytes:
        if data:
            self.log.append((round(self.clock() - self.started, 3), direction, bytes(data)))
        return data

    @property
    def format(self) -> SerialFormat | None:
        """As of the line."""
        return self.inner.format

    async def open(self) -> None:
        """Open the line."""
        await self.inner.open()

    async def close(self) -> None:
        """Close the line."""
        await self.inner.close()

    def write(self, data: bytes) -> None:
        """Write and note it."""
        self.inner.write(self._note(SENT, data))

    async def drain(self) -> None:
        """Wait until it has left."""
        await self.inner.drain()

    async def read(self, timeout: float | None) -> bytes:
        """Read and note it."""
        return self._note(RECEIVED, await self.inner.read(timeout))

    def discard(self) -> bytes:
        """Throw away, and note what was thrown away."""
        return self._note(RECEIVED, self.inner.discard())

    async def configure(self, **values: Any) -> None:
        """Change speed and parity."""
        await self.inner.configure(**values)

    async def lines(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the modem lines."""
        await self.inner.lines(dtr, rts)

    async def send_break(self, seconds: float = 0.3) -> None:
        """Hold the line in the break state."""
        await self.inner.send_break(seconds)


class Unveiler:
    """Remembers the plain text of every ciphered message of a client."""

    def __init__(self, client: DlmsClient) -> None:
        self.plain: dict[bytes, bytes] = {}
        self._make = client.ciphering.new_cipher
        client.ciphering.new_cipher = self._new_cipher  # type: ignore[method-assign]

    def _new_cipher(self) -> Cipher | None:
        cipher = self._make()
        if cipher is not None:
            protect, unprotect = cipher.protect_apdu, cipher.open
            cipher.protect_apdu = lambda apdu, form=None: self._sealed(protect(apdu, form), apdu)  # type: ignore[method-assign]
            cipher.open = lambda apdu: self._opened(apdu, unprotect(apdu))  # type: ignore[method-assign]
        return cipher

    def _sealed(self, ciphered: bytes, plain: bytes) -> bytes:
        self.plain[ciphered] = plain
        return ciphered

    def _opened(self, ciphered: bytes, opened: Unprotected) -> Unprotected:
        self.plain[ciphered] = opened.plaintext
        return opened


class Anonymiser:
    """Replaces what names a meter or opens it. ``salt`` makes the replacements of one capture; throw it away."""

    def __init__(self, names: Iterable[bytes], secrets: Iterable[bytes], salt: bytes) -> None:
        self._salt = salt
        self._map: dict[bytes, bytes] = {}
        for name in sorted({name for name in names if len(name) >= _SHORTEST}, key=len, reverse=True):
            self._add_name(name)
        for secret in secrets:
            if secret:
                self._map[bytes(secret)] = b"x" * len(secret)
        self._windows = {
            token[at : at + _WINDOW]: other[at : at + _WINDOW]
            for token, other in self._map.items()
            for at in range(len(token) - _WINDOW + 1)
            if len(set(token[at : at + _WINDOW])) > 2
        }

    def _add_name(self, name: bytes) -> None:
        longer = next((token for token in self._map if name in token), None)
        if longer is not None:
            start = longer.index(name)
            self._map[name] = self._map[longer][start : start + len(name)]
        else:
            self._map[name] = self._other(name)
        self._add_numbers(name, self._map[name])

    def _other(self, name: bytes) -> bytes:
        """Digits by digits, the rest of a text stays; of octets the first three (the maker's letters) stay."""
        noise = hashlib.blake2b(name, key=self._salt[:64]).digest()
        if re.fullmatch(rb"[ -~]+", name):
            return bytes(48 + noise[at % 64] % 10 if 48 <= octet <= 57 else octet for at, octet in enumerate(name))
        return name[:3] + bytes(noise[at % 64] for at in range(3, len(name)))

    def _add_numbers(self, name: bytes, other: bytes) -> None:
        """The same number in binary and packed decimal."""
        digits, others = re.sub(rb"\D", b"", name), re.sub(rb"\D", b"", other)
        if 6 <= len(digits) <= 18 and len(set(digits)) > 2:
            size = 4 if int(digits) < 1 << 32 and int(others) < 1 << 32 else 8
            self._map[int(digits).to_bytes(size, "big")] = int(others).to_bytes(size, "big")
            even = len(digits) % 2
            self._map[bytes.fromhex("0" * even + digits.decode())] = bytes.fromhex("0" * even + others.decode())

    def clean(self, data: bytes) -> bytes:
        """The same octets with every name and secret replaced, also where a frame has cut one in two."""
        for token in sorted(self._map, key=len, reverse=True):
            data = data.replace(token, self._map[token])
        replaced = bytearray(data)
        for at in range(len(data) - _WINDOW + 1):
            window = data[at : at + _WINDOW]
            if window in self._windows:
                replaced[at : at + _WINDOW] = self._windows[window]
        return bytes(replaced)

    def clean_text(self, text: str) -> str:
        """As ``clean``, for text."""
        return self.clean(text.encode("latin-1", "replace")).decode("latin-1")


def capture_document(
    recorder: Recorder,
    settings: ConnectionSettings,
    facts: Mapping[str, Any],
    anonymiser: Anonymiser,
    plain: Mapping[bytes, bytes],
) -> dict[str, Any]:
    """The capture as it is written to YAML: nothing in it names the meter or opens it."""
    ciphered = settings.protection != "none"
    notes = ["The session was ciphered: frames are left out, messages are in plain."] if ciphered else []
    exchanges = [
        [anonymiser.clean(question).hex(), *(anonymiser.clean(answer).hex() for answer in answers)]
        for question, answers in _exchanges(recorder.log, settings.link_framing, plain)
    ]
    frames = [] if ciphered else list(_frames(recorder.log, settings.link_framing, anonymiser))
    return {
        "format": FORMAT,
        "connection": _connection(settings),
        "facts": {
            key: anonymiser.clean_text(value) if isinstance(value, str) else value for key, value in facts.items()
        },
        "notes": notes,
        "exchanges": exchanges,
        "frames": frames,
    }


def _connection(settings: ConnectionSettings) -> dict[str, Any]:
    rows = [row for row in fields(settings) if not row.metadata["secret"] and row.name not in _LEFT_OUT]
    values = {row.name: getattr(settings, row.name) for row in rows if getattr(settings, row.name) != row.default}
    plain = {key: value if isinstance(value, str | int | float) else str(value) for key, value in values.items()}
    return plain | {"framing": settings.link_framing, "client": settings.client, "server": settings.server}


def _exchanges(
    log: Iterable[tuple[float, str, bytes]], framing: str, plain: Mapping[bytes, bytes]
) -> Iterator[tuple[bytes, list[bytes]]]:
    """Questions with their answers, in order; what was not answered is left out, and so is the association."""
    question, answers = b"", list[bytes]()
    for direction, apdu in _messages(log, framing):
        if apdu[:1] and apdu[0] in _ASSOCIATING:
            continue
        opened = plain.get(apdu, apdu)
        if direction == SENT:
            if answers:
                yield question, answers
            question, answers = opened, []
        elif question and opened != question:  # a line with echo gives back the question
            answers.append(opened)
    if answers:
        yield question, answers


def _messages(log: Iterable[tuple[float, str, bytes]], framing: str) -> Iterator[tuple[str, bytes]]:
    decoders = {direction: StreamDecoder((framing,)) for direction in (SENT, RECEIVED)}
    for seconds, direction, data in log:
        for event in decoders[direction].feed(data, seconds):
            if isinstance(event, Message):
                yield direction, event.apdu


def _frames(log: Iterable[tuple[float, str, bytes]], framing: str, anonymiser: Anonymiser) -> Iterator[list[Any]]:
    """What went over the line by frames, check sequences made anew; other octets (sign-on, noise) as they came."""
    parsers = {direction: FrameParser(Statistics()) for direction in (SENT, RECEIVED)}
    for seconds, direction, data in log:
        if framing != "hdlc" or (b"~" not in data and not parsers[direction].pending):
            yield [seconds, direction, anonymiser.clean(data).hex()]
            continue
        parsers[direction].feed(data)
        while (frame := parsers[direction].next()) is not None:
            if isinstance(frame, Frame):
                cleaned = frame._replace(information=anonymiser.clean(frame.information))
                yield [seconds, direction, cleaned.encode().hex()]


async def record_session(
    settings: ConnectionSettings,
    *,
    transport: Transport,
    clock: Callable[[], float],
    salt: bytes,
    work: Callable[[DlmsClient], Any],
    store: Any = None,
    hide: Iterable[bytes] = (),
) -> dict[str, Any]:
    """Run ``work`` in a session and give the capture; an error of the meter ends the session but not the capture.

    ``work`` returns (facts, names): what to tell of the meter, and the octets that must be replaced.
    """
    recorder = Recorder(transport, clock)
    client = DlmsClient(settings, transport=recorder, store=store)
    unveiler = Unveiler(client)
    facts: dict[str, Any] = {}
    names: list[bytes] = [*hide, client.ciphering.title]
    try:
        async with client:
            told, found = await work(client)
            facts |= told
            names += [*found, client.association.system_title]
    except DlmsMqttError as error:
        facts["error"] = error.message
    anonymiser = Anonymiser([name for name in names if name], settings.secrets, salt)
    return capture_document(recorder, settings, facts, anonymiser, unveiler.plain)
