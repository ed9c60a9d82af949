"""A meter of pydlms-client at the far end of a line in memory: another project's idea of the protocol."""

from __future__ import annotations

from typing import Any, Self

from pydlms.simulator import HdlcServer, MeterSimulator, _Session

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.transport.memory import MemoryTransport
from tests.client.fresh_line import FreshLine

TCP = ("192.0.2.1", 4059)


class _Socket:
    """What pydlms's HDLC server sends through."""

    def __init__(self, transport: Any) -> None:
        self.sendall = transport.write


class PydlmsMeter:
    """``sim`` behind HDLC or the wrapper; ``requests`` holds every APDU that it was asked."""

    def __init__(self, sim: MeterSimulator, *, hdlc: bool = False, window: int = 1, server: int = 1) -> None:
        self.sim = sim
        self.hdlc = hdlc
        self._window = window
        self._server = server
        self.line = FreshLine(self._hdlc if hdlc else self._wrapper)

    @property
    def requests(self) -> list[bytes]:
        return list(self.sim.requests)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.line.close()

    async def _hdlc(self, far: MemoryTransport) -> None:
        server = HdlcServer(self.sim, _Socket(far), server_address=self._server, window=self._window)
        try:
            while True:
                server.feed(await far.read(None))
        except ConnectionError:  # the simulated meter restarts
            await far.close()

    async def _wrapper(self, far: MemoryTransport) -> None:
        sessions: dict[int, _Session] = {}
        link = WrapperLink(Side.SERVER, client=16, server=self._server)
        link.connect()
        while True:
            link.receive(await far.read(None))
            while (event := link.next_event()) is not None:
                if isinstance(event, Received):
                    session = sessions.setdefault(event.source, _Session(client_sap=event.source))
                    self._answer(link, event.apdu, session)
            far.write(link.data_to_send())

    def _answer(self, link: WrapperLink, apdu: bytes, session: _Session) -> None:
        for answer in self.sim.handle_all(apdu, session):
            for push in self.sim.take_pushes():
                link.send(push.apdu)
            link.send(answer)

    def settings(self, **options: Any) -> ConnectionSettings:
        framing = "hdlc" if self.hdlc else "wrapper"
        return ConnectionSettings(tcp=TCP, framing=framing, **{"max_info": 128, **options})

    def client(self, store: Any = None, algorithm: Any = None, **options: Any) -> DlmsClient:
        return DlmsClient(self.settings(**options), transport=self.line, store=store, algorithm=algorithm)
