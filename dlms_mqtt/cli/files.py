"""Files that commands are given: read whole, and never without end."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from dlms_mqtt.errors import ConfigError


def content(file: Path, most: int) -> bytes:
    """What the file (or a pipe, as of ``<(...)``) holds; ConfigError where it cannot be read or holds too much."""
    try:
        with file.open("rb") as stream:
            return whole(stream, most)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None


def whole(stream: BinaryIO, most: int) -> bytes:
    """Everything up to the end; ConfigError where that is more than ``most`` octets, as of a device without end."""
    octets = stream.read(most + 1)
    if len(octets) > most:
        raise ConfigError(f"that is more than {most >> 20} MB", hint="Is it the right file?")
    return octets
