"""``dlms-mqtt service``: the systemd unit for this installation, or a minimal configuration."""

from __future__ import annotations

import argparse
import re
import sys
from importlib.resources import files
from pathlib import Path

from dlms_mqtt.cli.output import note, say

EXAMPLE = ""
_NEXT = """\
The unit expects a user and a configuration:
  sudo useradd --system --no-create-home --shell /usr/sbin/nologin dlms-mqtt
  sudo install -d -m 0750 -g dlms-mqtt /etc/dlms-mqtt
  dlms-mqtt service --config | sudo install -m 0640 -g dlms-mqtt /dev/stdin /etc/dlms-mqtt/config.yaml
  dlms-mqtt service | sudo install -m 0644 /dev/stdin /etc/systemd/system/dlms-mqtt.service
  sudo systemctl enable --now dlms-mqtt"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``service``."""
    parser.add_argument("--config", action="store_true", help="print a minimal configuration instead of the unit")


def run(args: argparse.Namespace) -> int:
    """Print one of both; what to do with it goes to standard error where that is a terminal."""
    if args.config:
        say(minimal_config().rstrip("\n"))
        return 0
    say(unit(program()).rstrip("\n"))
    if sys.stderr.isatty():
        note(_NEXT)
    return 0


def minimal_config() -> str:
    """The text of config.minimal.yaml."""
    return (files("dlms_mqtt.bridge") / "config.minimal.yaml").read_text(encoding="utf-8")


def unit(program: str) -> str:
    """The unit that starts ``program``, an absolute path."""
    text = (files("dlms_mqtt.bridge") / "dlms-mqtt.service").read_text(encoding="utf-8")
    return re.sub(r"(?m)^(ExecStart=)\S+", lambda match: match[1] + program, text)


def program() -> str:
    """This very command, or the one beside this interpreter (``python -m dlms_mqtt``)."""
    called = Path(sys.argv[0])
    beside = Path(sys.executable).parent / "dlms-mqtt"
    return str(called.absolute() if called.name == "dlms-mqtt" and called.exists() else beside)
