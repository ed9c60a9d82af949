"""``dlms-mqtt run --config FILE``: the bridge, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
from pathlib import Path

from dlms_mqtt.bridge.run import run_bridge

EXAMPLE = "--config config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``run``."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; ends cleanly: associations released, ``offline`` published."""
    run_bridge(args.config, args.verbose)
    return 0
