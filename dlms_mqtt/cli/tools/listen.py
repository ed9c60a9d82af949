"""``dlms-mqtt listen``: prints what meters push, on a port that waits for them or on a line that is opened."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from dlms_mqtt.cli.options import option
from dlms_mqtt.cli.output import note, print_json, say
from dlms_mqtt.cli.tools.decode import KEY_OPTIONS, keys_of, print_message, print_readings
from dlms_mqtt.client.line.opening import DIRECT_BAUD
from dlms_mqtt.client.option_values import parse_bool, parse_choice, parse_hex, parse_host, parse_int
from dlms_mqtt.client.push import Push, PushReaders, PushSource, Refused
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.client.state.peer_history import PushHistory
from dlms_mqtt.client.state.state_file import default_path
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.errors import ConfigError, ConnectionLost, DecodeError, FramingError, ResponseTimeout, StoreError
from dlms_mqtt.meter.explain.explain import Explainer, ciphering_json, frame_json
from dlms_mqtt.meter.explain.json_shapes import readings_json
from dlms_mqtt.meter.local_zone import system_zone
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.apdu import Part
from dlms_mqtt.protocol.security import PeerCounters
from dlms_mqtt.transport import Transport, make_transport, transport_for
from dlms_mqtt.transport.listen import listen

_PARITIES = ("none", "even", "odd")
_PINS = ("dtr", "rts")
_LINE_OPTIONS = ("baud", "parity", *_PINS, "noise_psk")
_SOURCE = "listen"  # under which the state file keeps what was received
_TICK = 1.0  # s between looks at messages that may never be completed

EXAMPLE = "--bind tcp://0.0.0.0:4059 --encryption-key file:key.hex --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``listen``."""
    line = parser.add_mutually_exclusive_group(required=True)
    line.add_argument("--bind", metavar="tcp://ADDR:PORT|udp://ADDR:PORT", help="wait here for meters that connect")
    line.add_argument("--serial", metavar="PORT", help="read this serial port, esphome:// or pyserial URL")
    line.add_argument("--tcp", metavar="HOST:PORT", help="connect to this converter and read")
    line.add_argument(
        "--config", metavar="FILE", type=Path, help="listen where this configuration says, with the keys that it holds"
    )
    parser.add_argument("--meter", metavar="ID", help="which meter of the configuration (not needed if there is one)")
    parser.add_argument("--baud", metavar="N", help="speed of the serial port (default 9600)")
    parser.add_argument("--parity", metavar="none|even|odd", help="its parity (default none)")
    for pin in _PINS:
        parser.add_argument(f"--{pin}", metavar="on|off", help=f"set {pin.upper()} (heads may take power from it)")
    parser.add_argument("--noise-psk", metavar="SECRET", help="key of the ESPHome device of --serial esphome://")
    for kind in KEY_OPTIONS:
        parser.add_argument(f"--{kind}-key", metavar="SECRET", help=f"{kind} key: text:, hex:, env: or file:")
    parser.add_argument("--system-title", metavar="HEX", help="take ciphered messages of this meter only")
    parser.add_argument(
        "--accept-unauthenticated", action="store_true", help="accept messages that nothing vouches for"
    )
    parser.add_argument(
        "--forget", action="store_true", help="take what was received before again (a meter that was reset)"
    )
    parser.add_argument("--count", metavar="N", help="end after so many messages, or when only damage comes")
    parser.add_argument("--json", action="store_true", help="one JSON document per line and message")


def run(args: argparse.Namespace) -> int:
    """Listen until the count is reached, the line ends, or Ctrl-C."""
    count = _option(args, "count", parse_int(1, 1_000_000_000))
    source, where, zone = _given(args) if args.config is None else _configured(args)
    with _memory(source, args) as counters:
        asyncio.run(_listen(where, Printer(replace(source, peer_counters=counters), count, args.json, zone)))
    return 0


@contextlib.contextmanager
def _memory(source: PushSource, args: argparse.Namespace) -> Iterator[PeerCounters | None]:
    """What was received before, so that a recorded message is not taken again by a command that starts anew."""
    if source.keys is None:
        yield None
        return
    try:
        store = Store(default_path())
    except StoreError as error:
        note(f"what was received before is not known: {error.message}")
        yield None
        return
    with store:
        if args.forget:
            store.forget(PEER_COUNTERS, _SOURCE)
        yield PushHistory(store, _SOURCE)


def _given(args: argparse.Namespace) -> tuple[PushSource, str | Transport, tzinfo]:
    """Who may push, where, and in which zone, out of the options; a text is an address to wait on. ConfigError."""
    if args.meter is not None:
        raise ConfigError("--meter names a meter of a configuration", hint="Give --config FILE too.")
    source = PushSource(
        keys=keys_of(args),
        system_title=_option(args, "system_title", parse_hex(8)) or b"",
        accept_unauthenticated=args.accept_unauthenticated,
    )
    return source, args.bind if args.bind is not None else _transport(args), system_zone(os.environ)


def _configured(args: argparse.Namespace) -> tuple[PushSource, str | Transport, tzinfo]:
    """The same out of a configuration. ConfigError."""
    from dlms_mqtt.bridge.meters.pushes.receiver import keys_of as pushed_keys
    from dlms_mqtt.cli.options import configured

    for name in ("system_title", *_LINE_OPTIONS, *(f"{kind}_key" for kind in KEY_OPTIONS)):
        if getattr(args, name) is not None:
            raise ConfigError(f"with --config, --{name.replace('_', '-')} is taken from the file")
    found = configured(args, {})
    settings, push = found.settings, found.meter.push
    title = push.match.system_title if push else ""
    source = PushSource(
        keys=pushed_keys(settings),
        system_title=settings.meter_system_title or (parse_hex(8)(title) if title else b""),
        accept_unauthenticated=args.accept_unauthenticated or settings.accept_unauthenticated,
    )
    where = push.listen if push and push.listen not in ("", "connection") else transport_for(settings)
    return source, where, found.zone


def _option(args: argparse.Namespace, name: str, parse: Callable[[Any], Any]) -> Any:
    return option(args, name, f"--{name.replace('_', '-')}", parse)


class Printer:
    """Prints what comes, and counts it."""

    def __init__(self, source: PushSource, count: int | None, as_json: bool, zone: tzinfo = UTC) -> None:
        self._readers = PushReaders([source])
        self._left = self._wanted = count
        self._json, self._zone = as_json, zone

    @property
    def done(self) -> bool:
        """Whether enough was printed."""
        return self._left == 0

    @property
    def patience(self) -> float | None:
        """Seconds until the next look; None: only what comes can change anything."""
        return _TICK if self._readers.unfinished else None

    def take(self, origin: str, data: bytes, whole: bool) -> None:
        """Bytes from somewhere; none at all: that connection ended."""
        self._print(self._readers.feed(origin, data, _now(), whole=whole))

    def tick(self) -> None:
        """Time has passed."""
        self._print(self._readers.tick(_now()))

    def _print(self, events: list[Push | Refused]) -> None:
        for event in events:
            if self.done:
                return
            if isinstance(event, Refused):
                self._tell(event)
            elif self._shown(event) and self._left is not None:
                self._left -= 1

    def _tell(self, event: Refused) -> None:
        """Damage alone ends a command that waits for messages: nobody may be there to turn the head."""
        if isinstance(event.error, FramingError) and self._wanted is not None and self._left == self._wanted:
            raise event.error
        _refused(event)

    def _shown(self, push: Push) -> bool:
        try:
            document, values = push_json(push), PushedValues(push.notification)
        except DecodeError as error:
            _refused(Refused(push.origin, error))
            return False
        readings = values.readings(datetime.now(UTC), self._zone)
        if self._json:
            document["readings"] = readings_json(readings, self._zone)
            print_json(document, indent=None)
        else:
            _print_push(document, readings)
        sys.stdout.flush()
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refused(event: Refused) -> None:
    word = "" if isinstance(event.error, FramingError) else "refused: "
    note(f"{event.origin}: {word}{event.error.told.rstrip('.')}.")


def push_json(push: Push) -> dict[str, Any]:
    """A message in the shape of ``decode --json``, with its ``origin``. DecodeError."""
    explained = Explainer().apdu(Part(push.opened.plaintext, push.notification))
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


def _print_push(document: dict[str, Any], readings: list[Reading]) -> None:
    """For people: the readings where there are any, else what the message holds."""
    say(document["origin"])
    if not readings:
        print_message(document)
        return
    print_message({name: part for name, part in document.items() if name not in ("values", "tree")})
    print_readings(readings_json(readings, UTC))


# -- where it comes from -----------------------------------------------------------------------------------------------


async def _listen(where: str | Transport, printer: Printer) -> None:
    if isinstance(where, str):
        await _wait(where, printer)
        return
    async with where as transport:
        note(f"listening on {transport.name}")
        await _read(transport, printer)


def _transport(args: argparse.Namespace) -> Transport:
    if args.tcp is not None:
        return make_transport("tcp://", address=_option(args, "tcp", parse_host))
    baud = _option(args, "baud", parse_int(50, 4_000_000)) or DIRECT_BAUD
    parity = _option(args, "parity", parse_choice(*_PARITIES)) or "none"
    pins = {pin: _option(args, pin, parse_bool) for pin in _PINS}
    given = {"serial": args.serial, "noise_psk": args.noise_psk}
    line = parse_settings({name: value for name, value in given.items() if value is not None})
    key = {"noise_psk": line.noise_psk} if line.noise_psk else {}
    return make_transport(line.line, baud=baud, parity=parity, **pins, **key)


async def _wait(url: str, printer: Printer) -> None:
    """What arrives is only put aside by the port and printed here, where an error ends the command."""
    arrived: deque[tuple[str, bytes, bool]] = deque()
    stirred = asyncio.Event()

    def on_data(origin: str, data: bytes, whole: bool) -> None:
        arrived.append((origin, data, whole))
        stirred.set()

    async with await listen(url, on_data) as listener:
        note(f"listening on {listener.name}")
        while not printer.done:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(printer.patience):
                    await stirred.wait()
            stirred.clear()
            while arrived:
                printer.take(*arrived.popleft())
            printer.tick()


async def _read(transport: Transport, printer: Printer) -> None:
    while not printer.done:
        try:
            printer.take(transport.name, await transport.read(printer.patience), transport.datagram)
        except ResponseTimeout:
            printer.tick()
        except ConnectionLost:
            printer.take(transport.name, b"", True)  # the end may complete a message
            if not printer.done:
                raise
