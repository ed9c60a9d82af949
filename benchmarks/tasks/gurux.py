"""gurux-dlms: its client makes and takes messages, the exchange on a socket is the program's own."""

from __future__ import annotations

from typing import Any

from benchmarks.tasks import AUTHENTICATION_KEY, HOST, KEY, TITLE


class _Meter:
    def __init__(self, port: int, client: Any = None) -> None:
        import socket

        from gurux_dlms.enums import Authentication, InterfaceType
        from gurux_dlms.GXDLMSClient import GXDLMSClient

        self.client = client or GXDLMSClient(True, 16, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
        self.socket = socket.create_connection((HOST, port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.parseAareResponse(self.ask(self.client.aarqRequest()).data)
        if self.client.isAuthenticationRequired:
            answer = self.ask(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(answer.data)

    def ask(self, messages: Any) -> Any:
        from gurux_dlms.GXReplyData import GXReplyData

        for message in messages if isinstance(messages, list) else [messages]:
            reply = GXReplyData()
            self.exchange(message, reply)
            while reply.isMoreData():
                self.exchange(self.client.receiverReady(reply), reply)
        return reply

    def exchange(self, message: Any, reply: Any) -> None:
        from gurux_dlms.GXByteBuffer import GXByteBuffer

        received = GXByteBuffer()
        self.socket.sendall(bytes(message))
        while True:
            received.set(self.socket.recv(4096))
            if self.client.getData(received, reply, None):
                break
        if reply.error:
            raise RuntimeError(reply.getErrorMessage())

    def read(self, item: Any, number: int) -> Any:
        return self.client.updateValue(item, number, self.ask(self.client.read(item, number)).value)

    def close(self) -> None:
        self.ask(self.client.releaseRequest())
        self.socket.close()


def ten_meters(ports: list[int]) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from gurux_dlms.objects import GXDLMSRegister

    def read(port: int) -> Any:
        meter, item = _Meter(port), GXDLMSRegister("1.0.1.7.0.255")
        meter.read(item, 3)
        meter.read(item, 2)
        meter.close()
        return item.value, {27: "W", 30: "Wh"}[int(item.unit)]

    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(read, ports))


def profile(port: int) -> Any:
    from gurux_dlms.objects import GXDLMSProfileGeneric

    meter, item = _Meter(port), GXDLMSProfileGeneric("1.0.99.1.0.255")
    meter.read(item, 3)
    meter.read(item, 2)
    meter.close()
    names = [column.logicalName for column, _ in item.captureObjects]
    return [dict(zip(names, [getattr(row[0], "value", row[0]), *row[1:]], strict=False)) for row in item.buffer]


def clock(port: int) -> Any:
    from datetime import UTC, datetime

    from gurux_dlms.objects import GXDLMSClock

    meter, item = _Meter(port), GXDLMSClock("0.0.1.0.0.255")
    meter.read(item, 2)
    meter.close()
    return (item.time.value - datetime.now(UTC)).total_seconds()


def ciphered(port: int, counter: int) -> Any:
    from gurux_dlms.enums import Authentication, InterfaceType, Security
    from gurux_dlms.objects import GXDLMSRegister
    from gurux_dlms.secure import GXDLMSSecureClient

    client = GXDLMSSecureClient(True, 1, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER)
    client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    client.ciphering.systemTitle = TITLE
    client.ciphering.blockCipherKey = KEY
    client.ciphering.authenticationKey = AUTHENTICATION_KEY
    client.ciphering.invocationCounter = counter
    meter, item = _Meter(port, client), GXDLMSRegister("1.0.1.7.0.255")
    meter.read(item, 2)
    meter.socket.close()  # its release in a ciphered association goes in plain
    return item.value


def push(data: bytes) -> Any:
    from gurux_dlms import GXByteBuffer, GXReplyData
    from gurux_dlms.enums import Authentication, InterfaceType, Security
    from gurux_dlms.secure import GXDLMSSecureClient

    client = GXDLMSSecureClient(True, 16, 1, Authentication.NONE, None, InterfaceType.PDU)
    client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    client.ciphering.blockCipherKey = KEY
    client.ciphering.authenticationKey = AUTHENTICATION_KEY
    reply = GXReplyData()
    client.getData(GXByteBuffer(data), reply)
    body = reply.value
    return [(".".join(map(str, body[at])), body[at + 1]) for at in range(0, len(body) - 1, 3)]


def objects(port: int) -> Any:
    from gurux_dlms.GXDLMSConverter import GXDLMSConverter

    meter = _Meter(port)
    found = meter.client.parseObjects(meter.ask(meter.client.getObjectsRequest()).data, True)
    meter.close()
    GXDLMSConverter().updateOBISCodeInformation(found)
    return [(int(item.objectType), item.logicalName, item.description) for item in found]
