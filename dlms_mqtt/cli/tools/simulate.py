"""``dlms-mqtt simulate``: a simulated meter on TCP, UDP, serial ports, a pseudo-terminal or RFC 2217, with faults."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlms_mqtt.cli.options import seconds_option
from dlms_mqtt.cli.output import say, table
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.protocol.framing.registry import FRAMINGS, default_framing
from dlms_mqtt.times import parse_moment

if TYPE_CHECKING:
    from dlms_mqtt.simulator.description import Described
    from dlms_mqtt.simulator.server.associations import Association
    from dlms_mqtt.simulator.server.meter import Meter

_DEFAULT = "127.0.0.1:4059"
_EPILOG = """
Without a line: TCP wrapper on 127.0.0.1:4059. Port 0 is any free port, which is printed. A fault is
name[:value][,p=0.1][,after=5][,times=1]: how often it strikes is counted in answers, requests or blocks. Keys and
passwords of the built-in clients are published, for tests, and printed; those of a description are not.
A description has kind, seed, name, zone, from, objects, remove, associations, oddities, faults and push, e.g.
{objects: [{obis: 0.0.128.0.1.255, value: 5, type: unsigned, writable: [2]}], associations: [16, {client: 3}]}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``simulate``."""
    lines = parser.add_argument_group("lines (any number of them)")
    lines.add_argument("--tcp", action="append", default=[], metavar="HOST:PORT", help="listen on TCP")
    lines.add_argument("--udp", action="append", default=[], metavar="HOST:PORT", help="listen on UDP (wrapper)")
    lines.add_argument("--serial", action="append", default=[], metavar="PORT", help="serve a serial port")
    lines.add_argument("--pty", action="store_true", help="make a pseudo-terminal and print its name")
    lines.add_argument("--rfc2217", action="append", default=[], metavar="HOST:PORT", help="serve a port over RFC 2217")
    lines.add_argument(
        "--framing",
        choices=tuple(FRAMINGS),
        metavar="|".join(FRAMINGS),
        help="default: wrapper on TCP, else hdlc",
    )
    lines.add_argument(
        "--opening",
        choices=("direct", "sign-on", "readout"),
        default="direct",
        metavar="direct|sign-on|readout",
        help="of serial lines; readout: clear text only, on TCP as behind a converter that keeps 300 baud",
    )
    lines.add_argument("--baud", type=int, default=9600, metavar="N", help="speed of a serial port (default 9600)")
    lines.add_argument("--max-info", type=int, default=128, metavar="N", help="HDLC information field (default 128)")
    lines.add_argument("--window", type=int, default=1, metavar="N", help="HDLC window (default 1)")
    meter = parser.add_argument_group("the meter")
    meter.add_argument("--meter", type=Path, metavar="FILE", help="a description (YAML), or JSON of `objects --values`")
    meter.add_argument("--replay", type=Path, metavar="FILE", help="answer as in a capture of `dlms-mqtt dump`")
    meter.add_argument("--seed", type=int, metavar="N", help="another household, other chances of faults (default 1)")
    meter.add_argument("--time", metavar="ISO", help="what its clock shows at the start (default: the real time)")
    meter.add_argument(
        "--fault", action="append", default=[], metavar="NAME[:VALUE]", help="a fault, see --list-faults"
    )
    meter.add_argument("--push", action="append", default=[], metavar="URL[,every=S]", help="push to tcp://HOST:PORT")
    parser.add_argument("--list-faults", action="store_true", help="print the faults and end")
    parser.add_argument("--seconds", metavar="S", help="end after so many seconds")
    parser.epilog = _EPILOG


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if args.list_faults:
        return _list_faults()
    try:
        asyncio.run(_replay(args) if args.replay is not None else _serve(args, _described(args)))
    except OSError as error:
        hint = "Another program has that port: give another, as in --tcp 127.0.0.1:4060."
        in_use = error.errno == errno.EADDRINUSE
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ConnectFailed(f"the line cannot be served: {reason}", hint=hint if in_use else "") from error
    return 0


def _list_faults() -> int:
    from dlms_mqtt.simulator.server.faults import FAULTS

    rows = [(name, row.value, "always" if row.times is None else row.times, row.text) for name, row in FAULTS.items()]
    say(table(rows, ("FAULT", "VALUE", "TIMES", "WHAT IT DOES")))
    return 0


def _described(args: argparse.Namespace) -> Described:
    from dlms_mqtt.simulator.description import describe, load_meter

    start = parse_moment(args.time, None) if args.time else None
    options: dict[str, Any] = {"seed": args.seed, "faults": tuple(args.fault), "start": start}
    return describe({}, **options) if args.meter is None else load_meter(args.meter, **options)


async def _serve(args: argparse.Namespace, described: Described) -> None:
    from dlms_mqtt.simulator.lines.pusher import Pusher, parse_push

    async with AsyncExitStack() as stack:
        for sentence in await _lines(args, described, stack):
            say(sentence)
        _introduce(described.meter)
        sys.stdout.flush()  # whoever started us in a pipe waits for the address
        tasks = stack.enter_context(_Tasks())
        for row in (*described.pushes, *map(parse_push, args.push)):
            tasks.start(Pusher(described.meter, row).run())
        await asyncio.sleep(_lifetime(args))


def _lifetime(args: argparse.Namespace) -> float:
    seconds = seconds_option(args)
    return float("inf") if seconds is None else seconds


async def _replay(args: argparse.Namespace) -> None:
    """Serve a capture on the lines that were asked for."""
    from dlms_mqtt.simulator.lines.virtual_ports import PtyLine
    from dlms_mqtt.simulator.replay.capture_file import Capture
    from dlms_mqtt.simulator.replay.replay import replay_on, replay_tcp
    from dlms_mqtt.transport import Transport, make_transport
    from dlms_mqtt.transport.base import format_address

    capture = Capture.load(args.replay)
    with _Tasks() as tasks:
        for text in args.tcp or ([] if args.pty or args.serial else [_DEFAULT]):
            server = await replay_tcp(capture, *_served(text), args.framing)
            say(f"replay on TCP {format_address(*server.sockets[0].getsockname()[:2])}")
        lines: list[Transport] = [make_transport(text, baud=args.baud) for text in args.serial]
        lines += [PtyLine()] if args.pty else []
        for line in lines:
            await line.open()
            say(f"replay on {line.name}")
            tasks.start(replay_on(capture, line, args.framing))
        sys.stdout.flush()
        await asyncio.sleep(_lifetime(args))


class _Tasks:
    """Background tasks that end with the block."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, coroutine: Any) -> None:
        """Run it in the background."""
        self._tasks.append(asyncio.get_running_loop().create_task(coroutine))

    def __enter__(self) -> _Tasks:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()


async def _lines(args: argparse.Namespace, described: Described, stack: AsyncExitStack) -> list[str]:
    """Open every line that was asked for; a sentence about each."""
    from dlms_mqtt.simulator import SignOnOptions, serve_memory, serve_pty, serve_rfc2217, serve_udp
    from dlms_mqtt.simulator.lines.serial import READOUT_ONLY
    from dlms_mqtt.transport import make_transport
    from dlms_mqtt.transport.base import format_address

    meter, faults = described.meter, described.faults or None
    sentences = await _on_tcp(args, described, stack)
    for text in args.udp:
        address = await stack.enter_async_context(serve_udp(meter, *_served(text), faults=faults))
        sentences.append(f"wrapper on UDP {format_address(*address)}")
    framing = args.framing or default_framing(serial=True)
    signs_on = {"sign-on": SignOnOptions(), "readout": READOUT_ONLY}.get(args.opening)
    options: dict[str, Any] = {"faults": faults, "sign_on": signs_on, **_sizes(args)}
    what = f"{framing} on {{}} ({args.opening})" if args.opening != "readout" else "readout on {}"
    for text in args.rfc2217:
        address = await stack.enter_async_context(serve_rfc2217(meter, *_served(text), framing, **options))
        sentences.append(what.format(f"rfc2217://{format_address(*address)}"))
    for text in args.serial:
        await stack.enter_async_context(serve_memory(meter, make_transport(text, baud=args.baud), framing, **options))
        sentences.append(what.format(text))
    if args.pty:
        line = await stack.enter_async_context(serve_pty(meter, framing, **options))
        sentences.append(what.format(line.device))
    return sentences


async def _on_tcp(args: argparse.Namespace, described: Described, stack: AsyncExitStack) -> list[str]:
    from dlms_mqtt.simulator import serve_tcp
    from dlms_mqtt.simulator.lines.serial import READOUT_ONLY, serve_bridged
    from dlms_mqtt.transport.base import format_address

    meter, faults, sentences = described.meter, described.faults or None, []
    anything = args.udp or args.serial or args.pty or args.rfc2217
    framing = args.framing or default_framing(serial=False)
    for text in args.tcp or ([] if anything else [_DEFAULT]):
        if args.opening == "readout":
            options: dict[str, Any] = {"faults": faults, "sign_on": READOUT_ONLY}
            address = await stack.enter_async_context(serve_bridged(meter, *_served(text), **options))
            sentences.append(f"readout on TCP {format_address(*address)} (300 baud)")
            continue
        server = await stack.enter_async_context(
            serve_tcp(meter, *_served(text), framing, faults=faults, **_sizes(args))
        )
        sentences.append(f"{framing} on TCP {format_address(*server.address)}")
    return sentences


def _served(text: str) -> tuple[str, int]:
    from dlms_mqtt.transport.base import parse_address

    return parse_address(text, least_port=0)


def _sizes(args: argparse.Namespace) -> dict[str, Any]:
    sizes = {"max_info_transmit": args.max_info, "max_info_receive": args.max_info}
    return sizes | {"window_transmit": args.window, "window_receive": args.window}


def _introduce(meter: Meter) -> None:
    """Who it is and who may talk to it. The built-in secrets are published: these are shown, no others."""
    from dlms_mqtt.simulator.household.clients import PUBLISHED

    def shown(secret: bytes, text: str) -> str:
        return text if secret in PUBLISHED else "***"

    def keys(row: Association) -> str:
        found = (row.keys.encryption, row.keys.authentication) if row.keys else ()
        return " ".join([f"suite {row.suite}:", *(shown(key, key.hex()) for key in found)]) if found else ""

    say(f"meter {meter.name}, system title {meter.title.hex()}, {len(meter.objects)} objects, {meter.now():%F %T %z}")
    rows: Sequence[Any] = [
        (row.client, row.name, row.mechanism.text, shown(row.secret, row.secret.decode("latin-1")), keys(row))
        for row in sorted(meter.associations.values(), key=lambda item: item.client)
    ]
    say(table(rows, ("CLIENT", "NAME", "AUTHENTICATION", "PASSWORD", "KEYS (encryption, authentication)"), right=(0,)))
