"""What commands print: tables for people, one JSON document for programs, progress on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

from dlms_mqtt.errors import ConfigError, DlmsMqttError, ProtocolError


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers exact, octets in hex, times in ISO 8601."""
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        return int(value) if whole else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def print_json(document: Any) -> None:
    """One document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2, default=plain)
    sys.stdout.write("\n")


def table(rows: Iterable[Sequence[Any]], head: Sequence[str], right: Iterable[int] = ()) -> str:
    """Columns as wide as their contents; the columns in ``right`` are aligned to the right."""
    lines = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    aligned = set(right)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in aligned else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def say(text: str) -> None:
    """A line for people, on standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line beside the result, on standard error."""
    sys.stderr.write(text + "\n")


def complain(error: DlmsMqttError) -> None:
    """What went wrong and what to try, in one sentence or two on standard error."""
    stop = "" if error.message.endswith(("?", ".")) else "."
    note(f"dlms-mqtt: {_place(error)}{error.message}" + (f"{stop} {error.hint}" if error.hint else ""))


def _place(error: DlmsMqttError) -> str:
    if isinstance(error, ProtocolError):
        return "protocol error: "
    if not isinstance(error, ConfigError) or not error.file or error.message.startswith(error.file):
        return ""
    return f"{error.file}:{error.line}: " if error.line else f"{error.file}: "


class Progress:
    """A bar on standard error while work goes on; silent where that is no terminal."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._shown = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._stream.write("\r" + " " * len(self._shown) + "\r")

    def update(self, done: int, total: int, stage: str = "") -> None:
        """Show how far it is."""
        if not self._stream.isatty():
            return
        share = done / total if total else 0.0
        bar = "#" * int(share * 30)
        text = f"{self._what} [{bar:<30}] {share:4.0%} {stage}"
        self._stream.write("\r" + text.ljust(len(self._shown)))
        self._stream.flush()
        self._shown = text
