"""In which files secrets stand: in plain text in the configuration, or alone in a file that is named (``file:``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.yaml_file import Document
from dlms_mqtt.client.settings import SECRET_KEYS
from dlms_mqtt.transport.esphome.address import split_key


def files_with_secrets(document: Document) -> Iterator[Path]:
    """What came from ``!secret`` is warned of where it is read; a variable or a file's name is no secret."""
    for path, mark in document.marks.items():
        value = document.value(path)
        named = not isinstance(value, str) or value.partition(":")[0] in ("env", "file")
        if path and ((path[-1] in SECRET_KEYS and not named) or _plain_key(value)) and not mark.hidden:
            yield Path(mark.file)


def named_files(document: Document) -> Iterator[Path]:
    """Files that hold a secret alone (``file:``): another password there is a change of the configuration."""
    for path in document.marks:
        value = document.value(path) if path and path[-1] in SECRET_KEYS else None
        if isinstance(value, str) and value.startswith("file:"):
            yield Path(value.removeprefix("file:"))


def _plain_key(value: Any) -> bool:
    """Does the key of an ESPHome device stand in this text?"""
    return isinstance(value, str) and split_key(value)[1].partition(":")[0] not in ("", "env", "file")
