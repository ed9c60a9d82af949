"""A meter that answers as a table says: question by question, checked, over HDLC or the wrapper in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from dlms_mqtt.client.association.association import PROPOSALS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.acse.messages import Aare, Aarq, ApplicationContext, AssociationResult, Rlre, Rlrq
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.initiate import InitiateResponse
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.transport.memory import MemoryTransport
from tests.client.fresh_line import FreshLine

Answer = Apdu | bytes | None
Step = tuple[Any, Answer | Sequence[Answer]]


def accepted(referencing: str, max_pdu: int, conformance: Any = None, **fields: Any) -> Aare:
    """The AARE of a meter that has every service."""
    offered = PROPOSALS[referencing] if conformance is None else conformance
    initiate = InitiateResponse(0, 6, offered, max_pdu, 7 if referencing == "ln" else 0xFA00).encode()
    context = ApplicationContext.LN if referencing == "ln" else ApplicationContext.SN
    values = {"application_context": context, "result": AssociationResult.ACCEPTED, "user_information": initiate}
    return Aare(**{**values, **fields})


class Scripted:
    """``dialogue``: (expected request, answer or answers); None expects anything or answers nothing.

    An answer in bytes is sent as it is. What the client asks beyond the script fails the test when the block is left.
    """

    def __init__(
        self,
        dialogue: Sequence[Step] = (),
        *,
        referencing: str = "ln",
        max_pdu: int = 1024,
        hdlc: bool = False,
        conformance: Any = None,
        aare: Answer = None,
        settings: dict[str, Any] | None = None,
        **client: Any,
    ) -> None:
        self._steps = list(dialogue)
        self._aare = aare if aare is not None else accepted(referencing, max_pdu, conformance)
        self._hdlc = hdlc
        self.notifications: list[Apdu] = []
        self.requests: list[Apdu] = []
        self.wrong: list[str] = []
        self.links = 0
        self.line = FreshLine(self._serve)
        options = {"framing": "hdlc" if hdlc else "wrapper", "referencing": referencing, "timeout": 1.0}
        self.settings = ConnectionSettings(tcp=("192.0.2.1", 4059), **(options | (settings or {})))
        self.client = DlmsClient(
            self.settings, transport=self.line, on_notification=self.notifications.append, **client
        )

    @property
    def services(self) -> Any:
        return self.client._live_services

    async def __aenter__(self) -> Self:
        await self.client.open()
        return self

    async def __aexit__(self, kind: Any, *_: object) -> None:
        await self.client.close()
        if kind is None:
            assert not self.wrong, self.wrong
            assert not self._steps, f"never asked: {self._steps}"

    async def _serve(self, far: MemoryTransport) -> None:
        self._far = far
        self.link = (
            HdlcLink(Side.SERVER, max_info_transmit=1024, max_info_receive=1024)
            if self._hdlc
            else WrapperLink(Side.SERVER)
        )
        if not self._hdlc:
            self.link.connect()
        while True:
            self.link.receive(await far.read(None))
            while (event := self.link.next_event()) is not None:
                if isinstance(event, Received):
                    self._take(decode_apdu(event.apdu))
            far.write(self.link.data_to_send())

    def _take(self, request: Apdu) -> None:
        self.requests.append(request)
        if isinstance(request, Aarq):
            self._send(self._aare)
        elif isinstance(request, Rlrq):
            self._send(Rlre())
        elif not self._steps:
            self.wrong.append(f"not in the script: {request}")
        else:
            expected, answer = self._steps.pop(0)
            if expected is not None and request != expected:
                self.wrong.append(f"asked {request} instead of {expected}")
            for item in answer if isinstance(answer, list) else [answer]:
                self._send(item)

    def _send(self, answer: Answer) -> None:
        if answer is not None:
            self.link.send(answer if isinstance(answer, bytes) else answer.encode())
