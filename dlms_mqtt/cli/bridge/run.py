"""``dlms-mqtt run --config FILE``: the bridge, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse

from dlms_mqtt.bridge.run import run_bridge
from dlms_mqtt.cli.configuration import add_config, needed_config

EXAMPLE = "--config config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``run``."""
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; ends cleanly: associations released, ``offline`` published."""
    run_bridge(needed_config(args.config), args.verbose)
    return 0
