"""``dlms-mqtt alive``: does the bridge of this container turn? The exit status is what HEALTHCHECK asks for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dlms_mqtt.bridge.alive import EVERY, VARIABLE, alive_file, seconds_since
from dlms_mqtt.cli.options import seconds_option
from dlms_mqtt.cli.output import note, say
from dlms_mqtt.errors import ConfigError

EXAMPLE = "--file /run/dlms-mqtt/alive"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``alive``."""
    parser.add_argument("--file", metavar="FILE", type=Path, help=f"the bridge's sign of life (default ${VARIABLE})")
    parser.add_argument(
        "--within", metavar="S", default=f"{6 * EVERY:g}", help="seconds that it may be old (default %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """0: it gave a sign in time; 1: it did not. ConfigError: there is nothing to look at."""
    file = args.file or alive_file(os.environ)
    if file is None:
        raise ConfigError(
            "there is no file to look at", hint=f"Give --file, or set {VARIABLE} for the bridge and for this command."
        )
    age, within = seconds_since(file), seconds_option(args, "within")
    if age is not None and within is not None and age <= within:
        say(f"alive, {age:.0f} s ago")
        return 0
    note(f"dlms-mqtt: no sign of life in {file}" + (f" for {age:.0f} s." if age is not None else "."))
    return 1
