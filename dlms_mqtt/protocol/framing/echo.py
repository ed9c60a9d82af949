"""Taking out what an optical head or a two-wire line reflects: a copy of what was sent, whole, late or cut."""

from __future__ import annotations


class EchoFilter:
    """Drops one copy of each sent message; never needs one, and never takes an octet of an answer for good."""

    def __init__(self) -> None:
        self._sent = b""
        self._held = b""  # so far it looks like the copy

    @property
    def reflects(self) -> bool:
        """Has the copy of the last message come?"""
        return not self._sent

    def sent(self, data: bytes) -> None:
        """This went out; its copy may come back."""
        self._sent = data
        self._held = b""

    def strip(self, data: bytes) -> bytes:
        """What is left of received octets; the beginning of what may be the copy is held back until more is known."""
        if not self._sent:
            return data
        data = self._held + data
        self._held = b""
        if self._sent in data:
            before, _, after = data.partition(self._sent)
            self._sent = b""
            return before + after
        if self._sent.startswith(data):
            self._held = data
            return b""
        return self._without_cut_copy(data)

    def flush(self) -> bytes:
        """Nothing more came: what was held back."""
        held, self._held = self._held, b""
        return held

    def _without_cut_copy(self, data: bytes) -> bytes:
        """The copy broke off where its own first octet comes again: there the answer begins (``/?`` + ``/ISK...``)."""
        same = _common_start(data, self._sent)
        if same > 1 and data[same] == self._sent[0]:
            self._sent = b""
            return data[same:]
        return data


def _common_start(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
