"""The trace of one line (-vv): which octets went out and came in, without the secrets among them.

A slow line gives an octet at a time: what comes is gathered, and shown in lines that can be read.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable

from dlms_mqtt.client.line.masking import masked

log = logging.getLogger("dlms_mqtt.client")

_LONGEST = 2048  # octets in a line of the trace, at most a chunk more
_REMEMBERED = 4  # questions with a secret that are known again when the line gives them back


class Trace:
    """Shown where the log wants it (DEBUG). ``line`` is its name, ``secrets`` what nobody is shown."""

    def __init__(self, line: str, secrets: Iterable[bytes]) -> None:
        self.on = log.isEnabledFor(logging.DEBUG)
        self.hides = False  # this question holds a secret, which the line may reflect: only lengths are shown
        self._line, self._secrets = line, tuple(map(bytes, secrets))
        self._gathered = b""
        self._hidden: deque[bytes] = deque(maxlen=_REMEMBERED)  # as they went out: they may come back late

    def received(self, data: bytes) -> None:
        """Octets have come; they are shown with those that follow."""
        if self.on:
            self._gathered += data
            if len(self._gathered) > _LONGEST:
                self.show_received()

    def show_received(self) -> None:
        """What has come since the last line of the trace."""
        if self._gathered:
            self.show("<", self._gathered)
            self._gathered = b""

    def sent(self, data: bytes) -> None:
        """Octets go out, after what has come before them."""
        if self.on:
            self.show_received()
            if self.hides:
                self._hidden.append(data)
            self.show(">", data)

    def show(self, direction: str, data: bytes) -> None:
        """One line of the trace."""
        if self.hides:
            shown = f"({len(data)} octets, not shown: a password is among them)"
        else:
            shown = self.masked(data)
        log.debug("%s %s %s", self._line, direction, shown)

    def answered(self, answer: object) -> None:
        """What a question with a secret was answered, in words; a meter may say the secret itself."""
        text = str(answer)
        if any(_written(secret) in text.replace("\\'", "'") for secret in self._secrets if secret):
            text = f"{type(answer).__name__} (not shown: a secret is in it)"
        log.debug("%s < %s", self._line, text)

    def masked(self, data: bytes) -> str:
        """Octets in hexadecimal, without those of a secret."""
        return masked(data, (*self._secrets, *self._hidden))


def _written(secret: bytes) -> str:
    """As Python writes it within other octets."""
    return repr(secret)[2:-1].replace("\\'", "'")
