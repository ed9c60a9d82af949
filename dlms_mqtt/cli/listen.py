"""``dlms-mqtt listen``: prints what meters push, on a port that waits for them or on a line that is opened."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from dlms_mqtt.cli.decode import KEY_OPTIONS, keys_of, print_message
from dlms_mqtt.cli.output import note, plain, say
from dlms_mqtt.client.push import Push, PushReader, Refused
from dlms_mqtt.client.settings import parse_bool, parse_choice, parse_hex, parse_host, parse_int
from dlms_mqtt.errors import ConfigError, ResponseTimeout
from dlms_mqtt.meter.explain import Explainer, ciphering_json, frame_json
from dlms_mqtt.protocol.security import Keys
from dlms_mqtt.transport import Transport, make_transport
from dlms_mqtt.transport.listen import listen

_TICK = 1.0  # s between looks at messages that will not be completed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``listen``."""
    line = parser.add_mutually_exclusive_group(required=True)
    line.add_argument("--bind", metavar="tcp://ADDR:PORT|udp://ADDR:PORT", help="wait here for meters that connect")
    line.add_argument("--serial", metavar="PORT", help="read this serial port or pyserial URL")
    line.add_argument("--tcp", metavar="HOST:PORT", help="connect to this converter and read")
    parser.add_argument("--baud", metavar="N", default="9600", help="speed of the serial port (default 9600)")
    parser.add_argument("--parity", metavar="none|even|odd", default="none", help="its parity (default none)")
    for kind in KEY_OPTIONS:
        parser.add_argument(f"--{kind}-key", metavar="SECRET", help=f"{kind} key: text:, hex:, env: or file:")
    parser.add_argument("--system-title", metavar="HEX", help="take messages of this meter only")
    parser.add_argument(
        "--accept-unauthenticated", action="store_true", help="accept messages that nothing vouches for"
    )
    parser.add_argument("--count", type=int, metavar="N", help="end after so many messages")
    parser.add_argument("--json", action="store_true", help="one JSON document per line and message")


def run(args: argparse.Namespace) -> int:
    """Listen until the count is reached, the line ends, or Ctrl-C."""
    printer = _Printer(args, keys_of(args))
    return asyncio.run(_listen(args, printer))


class _Printer:
    """One reader per origin; prints what comes and counts it."""

    def __init__(self, args: argparse.Namespace, keys: Keys | None) -> None:
        self._json = args.json
        self._left = args.count
        self._keys = keys
        self._title = parse_hex(8)(args.system_title) if args.system_title else b""
        self._accept = parse_bool(args.accept_unauthenticated)
        self._readers: dict[str, PushReader] = {}
        self.done = asyncio.Event()

    def on_data(self, origin: str, data: bytes, whole: bool) -> None:
        """Bytes from somewhere; none at all: that connection ended."""
        if not data:
            self._readers.pop(origin, None)
            return
        reader = self._readers.get(origin) or self._readers.setdefault(origin, self._reader(origin))
        for event in reader.feed(data, time.monotonic(), whole=whole):
            self._print(event)

    def _reader(self, origin: str) -> PushReader:
        return PushReader(origin, self._keys, system_title=self._title, accept_unauthenticated=self._accept)

    def tick(self) -> None:
        """Time has passed."""
        for reader in self._readers.values():
            for event in reader.tick(time.monotonic()):
                self._print(event)

    def _print(self, event: Push | Refused) -> None:
        if isinstance(event, Refused):
            note(f"{event.origin}: refused: {event.error.message}. {event.error.hint}".rstrip(". ") + ".")
            return
        document = push_json(event)
        if self._json:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, default=plain) + "\n")
            sys.stdout.flush()
        else:
            say(f"{event.origin}")
            print_message(document)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.done.set()


def push_json(push: Push) -> dict[str, Any]:
    """A message in the shape of ``decode --json``, with its ``origin``."""
    explained = Explainer().apdu(push.opened.plaintext)
    opened = push.opened
    document: dict[str, Any] = {
        "origin": push.origin,
        "framing": push.message.framing,
        "frames": [frame_json(frame) for frame in push.message.frames],
    }
    if opened.control is not None:
        tag = f"{push.message.apdu[0]:02x}"
        document["ciphering"] = ciphering_json(tag, opened.system_title, opened.control, opened.invocation_counter or 0)
        document["ciphering"]["verified"] = opened.verified
        document["plaintext"] = opened.plaintext.hex()
    return document | explained


async def _listen(args: argparse.Namespace, printer: _Printer) -> int:
    if args.bind:
        listener = await listen(args.bind, printer.on_data)
        note(f"listening on {args.bind.rpartition(':')[0]}:{listener.port}")
        try:
            await _until_done(printer)
        finally:
            listener.close()
        return 0
    async with _transport(args) as transport:
        note(f"listening on {transport.name}")
        return await _read(transport, printer)


def _transport(args: argparse.Namespace) -> Transport:
    if args.tcp:
        host, port = parse_host(args.tcp)
        return make_transport("tcp://", address=(host, port))
    baud, parity = parse_int(50, 4_000_000)(args.baud), parse_choice("none", "even", "odd")(args.parity)
    if not args.serial:
        raise ConfigError("which port?", hint="Give --serial PORT, --tcp HOST:PORT or --bind tcp://ADDR:PORT.")
    return make_transport(args.serial, baud=baud, parity=parity)


async def _read(transport: Transport, printer: _Printer) -> int:
    while not printer.done.is_set():
        try:
            printer.on_data(transport.name, await transport.read(_TICK), transport.datagram)
        except ResponseTimeout:
            printer.tick()
    return 0


async def _until_done(printer: _Printer) -> None:
    while not printer.done.is_set():
        try:
            async with asyncio.timeout(_TICK):
                await printer.done.wait()
        except TimeoutError:
            printer.tick()
