"""The gurux client with gurux-net as its medium, asked one thing after another as its reader program does."""

from __future__ import annotations

from typing import Any, Self

from gurux_common import ReceiveParameters
from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.ConnectionState import ConnectionState
from gurux_dlms.enums import Authentication, InterfaceType, RequestTypes, Security
from gurux_dlms.objects import GXDLMSProfileGeneric
from gurux_dlms.secure import GXDLMSSecureClient
from gurux_net import GXNet
from gurux_net.enums import NetworkType


class Gurux:
    """``async``-free: connect, ask, leave. A failure of the library's comes out as it is."""

    def __init__(
        self,
        port: int,
        *,
        client: int,
        authentication: Authentication = Authentication.NONE,
        password: bytes | None = None,
        logical: bool = True,
        hdlc: bool = False,
        keys: Any = None,
        title: bytes = b"",
        counter: int = 1,
        security: Security = Security.AUTHENTICATION_ENCRYPTION,
        dedicated: bytes | None = None,
    ) -> None:
        interface = InterfaceType.HDLC if hdlc else InterfaceType.WRAPPER
        self.dlms = GXDLMSSecureClient(logical, client, 1, authentication, password, interface)
        self.hdlc = hdlc
        self.media = GXNet(NetworkType.TCP, "127.0.0.1", port)
        if keys is not None:
            cipher = self.dlms.ciphering
            cipher.security = security
            cipher.blockCipherKey = bytes(keys.encryption)
            cipher.authenticationKey = bytes(keys.authentication)
            cipher.systemTitle = title
            cipher.invocationCounter = counter
            cipher.dedicatedKey = dedicated
        elif title:
            self.dlms.ciphering.systemTitle = title

    def __enter__(self) -> Self:
        self.media.open()
        try:
            self.associate()
        except BaseException:
            self.media.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.hdlc:
            self.ask(self.dlms.disconnectRequest())
        self.media.close()

    def associate(self) -> None:
        if self.hdlc:
            self.dlms.parseUAResponse(self.ask(self.dlms.snrmRequest()).data)
        self.dlms.parseAareResponse(self.ask(self.dlms.aarqRequest()).data)
        if self.dlms.getIsAuthenticationRequired():
            answer = self.ask(self.dlms.getApplicationAssociationRequest())
            if self.dlms.getUseLogicalNameReferencing():
                self.dlms.parseApplicationAssociationResponse(answer.data)
            else:
                # gurux sends its proof in a Write, and then looks for ours in an answer that cannot carry one.
                self.dlms.settings.connected |= ConnectionState.DLMS

    def ask(self, requests: Any) -> Any:
        """Send one request, in as many frames and blocks as it takes, and join the answer."""
        reply = GXReplyData()
        for request in requests if isinstance(requests, list) else [requests]:
            reply.clear()
            self.exchange(request, reply)
            while reply.isMoreData():
                more = b"" if reply.isStreaming() else self.dlms.receiverReady(reply)
                self.exchange(more, reply)
        if reply.error:
            raise RuntimeError(f"the meter refused: {reply.error}")
        return reply

    def exchange(self, data: Any, reply: Any) -> None:
        parameters = ReceiveParameters()
        parameters.eop = 0x7E if self.hdlc else None
        parameters.waitTime, parameters.allData = 3000, True
        parameters.count = 5 if self.hdlc else 8
        received, notify = GXByteBuffer(), GXReplyData()
        with self.media.getSynchronous():
            self.media.send(data)
            complete = False
            while not complete:
                if not self.media.receive(parameters):
                    raise TimeoutError("no answer for gurux")
                received.set(parameters.reply)
                parameters.reply = None
                complete = self.dlms.getData(received, reply, notify)
                if not complete and not self.hdlc:
                    parameters.count = max(1, self.dlms.getFrameSize(received))

    # -- what the tests ask -------------------------------------------------------------------------------------------

    def objects(self) -> Any:
        reply = self.ask(self.dlms.getObjectsRequest())
        return self.dlms.parseObjects(reply.data, True, False)

    def read(self, item: Any, attribute: int) -> Any:
        reply = self.ask(self.dlms.read(item, attribute)[0])
        if item.getDataType(attribute) == 0:
            item.setDataType(attribute, reply.valueType)
        return self.dlms.updateValue(item, attribute, reply.value)

    def write(self, item: Any, attribute: int) -> None:
        self.ask(self.dlms.write(item, attribute))

    def method(self, item: Any, number: int, value: Any, kind: Any) -> None:
        self.ask(self.dlms.method(item, number, value, kind))

    def rows(self, profile: GXDLMSProfileGeneric, request: Any) -> Any:
        reply = self.ask(request)
        self.dlms.updateValue(profile, 2, reply.value)
        return profile.buffer


__all__ = ["Authentication", "Gurux", "RequestTypes", "Security"]
