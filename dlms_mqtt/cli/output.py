"""What commands print: tables for people, one JSON document for programs, progress on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from dlms_mqtt.errors import ConfigError, DlmsMqttError, ProtocolError

_COLOURS = {"red": "1;31", "yellow": "33", "green": "32"}


def print_json(document: Any, indent: int | None = 2) -> None:
    """One document on standard output."""
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    from dlms_mqtt.meter.json_text import dumps  # the protocol comes with it, which --help does not need

    sys.stdout.write(dumps(document, indent=indent, ascii_only=ascii_only) + "\n")


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


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour where the stream is a terminal and nobody has said NO_COLOR."""
    shown = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if shown else text


def warn(text: str) -> None:
    """A warning, on standard error."""
    note(f"{coloured('warning:', 'yellow', sys.stderr)} {text}")


def say(text: str) -> None:
    """A line for people, on standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line beside the result, on standard error; where nobody can take it, the status has to say it all."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")


def complain(error: DlmsMqttError) -> None:
    """What went wrong and what to try, in one sentence or two on standard error."""
    note(f"{coloured('dlms-mqtt:', 'red', sys.stderr)} {_place(error)}{error.told}")


def _place(error: DlmsMqttError) -> str:
    if isinstance(error, ProtocolError):
        return "protocol error: "
    if not isinstance(error, ConfigError) or not error.file or error.file in error.message:
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
        self._clear()

    def news(self, text: str) -> None:
        """A line that stays, above the bar."""
        self._clear()
        note(f"{self._what}: {text}")

    def _clear(self) -> None:
        if self._shown:
            self._stream.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def update(self, done: int, total: int, stage: str = "") -> None:
        """Show how far it is, on one line of the terminal; ``total`` 0: nobody knows, the stage says what was done."""
        if not self._stream.isatty():
            return
        from shutil import get_terminal_size  # brings archivers that no command needs otherwise

        share = done / total if total else 0.0
        bar = f" [{'#' * int(share * 30):<30}] {share:4.0%}" if total else ":"
        text = f"{self._what}{bar} {stage}"[: get_terminal_size().columns - 1]
        if text == self._shown:
            return
        self._stream.write("\r" + text.ljust(len(self._shown)))
        self._stream.flush()
        self._shown = text
