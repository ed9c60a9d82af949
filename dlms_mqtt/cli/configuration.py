"""Which configuration is meant where ``--config`` is not given."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dlms_mqtt.errors import ConfigError

USUAL = (Path("config.yaml"), Path("/etc/dlms-mqtt/config.yaml"))


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config FILE`` of the commands that need nothing else."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the configuration (default ./config.yaml, then /etc/dlms-mqtt/config.yaml)",
    )


def usual_config() -> Path | None:
    """The first of the usual files that may be read; None when there is none."""
    return next((file for file in USUAL if os.access(file, os.R_OK)), None)


def needed_config(given: Path | None) -> Path:
    """The file that was given, or a usual one; ConfigError."""
    if found := given or usual_config():
        return found
    places = " and ".join(map(str, USUAL))
    raise ConfigError(f"no configuration: {places} are not there or cannot be read", hint="Give --config FILE.")
