"""``dlms-mqtt demo``: bridge, simulated household meter and an MQTT broker in one process, with the readings live."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.demo import run_demo
from dlms_mqtt.cli.options import seconds_option
from dlms_mqtt.cli.output import note, say, table
from dlms_mqtt.transport.base import parse_address

_MQTT_PORT = 1883
_FIRST = ("power", "energy", "voltage", "current")
_FOREIGN = ("amqtt", "transitions", "aiomqtt", "mqtt")

EXAMPLE = "--seconds 60"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``demo``."""
    parser.add_argument("--seconds", metavar="N", help="end after so many seconds (default: Ctrl-C)")
    parser.add_argument("--broker", metavar="HOST:PORT", help="use this broker, below a base of its own")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 when no reading came."""
    if not args.verbose:
        logging.getLogger().setLevel(logging.ERROR)
    for noisy in _FOREIGN:
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    screen, seconds = _Screen(), seconds_option(args)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_demo(screen, parse_address(args.broker, _MQTT_PORT) if args.broker else None, seconds))
    return 0 if screen.updates else 1


class _Screen:
    """The latest values: a table that is drawn anew on a terminal, changed values line by line elsewhere."""

    def __init__(self) -> None:
        self.updates = 0
        self._before: dict[str, Any] = {}
        self._lines = 0

    def introduce(self, lines: Sequence[tuple[str, str]]) -> None:
        """Where everything is; our own name as it was typed, because it need not be on the path."""
        for name, text in lines:
            note(f"{name:<18} {re.sub('^dlms-mqtt', _program(), text)}")

    def update(self, state: dict[str, Any], units: Mapping[str, str]) -> None:
        """A new state of the meter."""
        times = state.pop("_time", {})
        if not state:
            return
        self.updates += 1
        rows = [(key, state[key], units.get(key, ""), times.get(key, "")[11:19]) for key in sorted(state, key=_order)]
        if sys.stdout.isatty():
            self._draw(rows)
        else:
            for key, value, unit, time in rows:
                if self._before.get(key) != value:
                    say(f"{time} {key} = {value} {unit}".rstrip())
        sys.stdout.flush()
        self._before = state

    def _draw(self, rows: Sequence[tuple[str, Any, str, str]]) -> None:
        lines = fitted(table(rows, ("KEY", "VALUE", "UNIT", "TIME"), right=(1,)), *shutil.get_terminal_size())
        up = f"\x1b[{self._lines}A\x1b[J" if self._lines else ""
        sys.stdout.write(up + "\n".join(lines) + "\n")
        self._lines = len(lines)


def _order(key: str) -> tuple[int, str]:
    """What people look for first; it is what a small terminal shows."""
    return next((number for number, word in enumerate(_FIRST) if key.startswith(word)), len(_FIRST)), key


def _program() -> str:
    own = Path(sys.argv[0]).name == "dlms-mqtt" and shutil.which("dlms-mqtt") is None
    return sys.argv[0] if own else "dlms-mqtt"


def fitted(text: str, columns: int, height: int) -> list[str]:
    """The lines that fit a terminal, which draws anew only what has not left it."""
    lines = [line[: columns - 1] for line in text.splitlines()]
    room = max(height - 2, 2)
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"... and {len(lines) - room + 1} more; a taller window shows them"[: columns - 1]]
