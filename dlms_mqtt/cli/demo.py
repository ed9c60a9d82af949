"""``dlms-mqtt demo``: bridge, simulated household meter and an MQTT broker in one process, with the readings live."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

from dlms_mqtt.bridge.demo import run_demo
from dlms_mqtt.cli.output import note, say, table
from dlms_mqtt.transport.base import parse_address

_MQTT_PORT = 1883
_FOREIGN = ("amqtt", "transitions", "aiomqtt", "mqtt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``demo``."""
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so many seconds (default: Ctrl-C)")
    parser.add_argument("--broker", metavar="HOST:PORT", help="use this broker, below a base of its own")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 when no reading came."""
    if not args.verbose:
        logging.getLogger().setLevel(logging.ERROR)
    for noisy in _FOREIGN:
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    screen = _Screen()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_demo(screen, parse_address(args.broker, _MQTT_PORT) if args.broker else None, args.seconds))
    return 0 if screen.updates else 1


class _Screen:
    """The latest values: a table that is drawn anew on a terminal, changed values line by line elsewhere."""

    def __init__(self) -> None:
        self.updates = 0
        self._before: dict[str, Any] = {}
        self._lines = 0

    def introduce(self, lines: Sequence[tuple[str, str]]) -> None:
        """Where everything is."""
        for name, text in lines:
            note(f"{name:<18} {text}")

    def update(self, state: dict[str, Any]) -> None:
        """A new state of the meter."""
        times = state.pop("_time", {})
        if not state:
            return
        self.updates += 1
        rows = [(key, value, times.get(key, "")[11:19]) for key, value in sorted(state.items())]
        if sys.stdout.isatty():
            self._draw(rows)
        else:
            for key, value, time in rows:
                if self._before.get(key) != value:
                    say(f"{time} {key} = {value}")
        sys.stdout.flush()
        self._before = state

    def _draw(self, rows: Sequence[tuple[str, Any, str]]) -> None:
        text = table(rows, ("KEY", "VALUE", "TIME"), right=(1,))
        up = f"\x1b[{self._lines}A\x1b[J" if self._lines else ""
        sys.stdout.write(f"{up}{text}\n")
        self._lines = text.count("\n") + 1
