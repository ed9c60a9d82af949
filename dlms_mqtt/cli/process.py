"""The process around a command: standard streams that are there, signals that end it in order, an end to its output."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def prepare() -> None:
    """Before anything is opened or printed."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():  # no other may take signals
        _take_signals()


def _take_signals() -> None:
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` stays in force
            signal.signal(number, _end)


def _open_streams() -> None:
    """A stream that was closed (``>&-``) is the null device, or a file of ours would get its number."""
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def _end(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does: a meter is released, a broker is told. asyncio puts its own handler there while it runs."""
    interrupt = signal.getsignal(signal.SIGINT)
    (interrupt if callable(interrupt) else signal.default_int_handler)(signal.SIGINT, frame)


def give_up_output() -> None:
    """Nobody takes our output any more: the interpreter must not try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
