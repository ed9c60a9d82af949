"""A meter that says something else before it answers, and the one question that it is asked."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.protocol.apdu.get import GetResponseNormal
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, encode_frame
from tests.client.scripted import Scripted

NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 7)
ANSWER = GetResponseNormal(0xC1, None, encode(NUMBER))


def frame(kind: int, information: bytes = b"") -> bytes:
    """A frame of the meter: to client 16, from server 1."""
    return encode_frame(kind | POLL, b"\x21", b"\x03", information)


class Interrupted(Scripted):
    """Before the first request is looked at, the meter says ``frames``, whatever the rules are."""

    def __init__(self, *frames: bytes, forget: bool = False, **options: Any) -> None:
        super().__init__([(None, ANSWER)], hdlc=True, **options)
        self._frames = list(frames)
        self._forget = forget

    def _take(self, request: Any) -> None:
        if self._frames and request.TAG == 0xC0:
            for item in self._frames:
                self._far.write(item)
            self._frames.clear()
            if self._forget:
                self.link.disconnect()
                while self.link.next_event():
                    pass
                return
        super()._take(request)
