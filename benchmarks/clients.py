"""The contenders as clients: each connects, reads and leaves in the way its own documentation shows.

A client has ``gets(n)``, ``lists(n)``, ``profile()``, ``view()`` and ``close()``; each returns how many things it read.
``run`` plays one of them in a process of its own, so that CPU time and memory are its alone.
"""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from benchmarks import names
from benchmarks.names import FIRST, LAST, dotted

Protection = dict[str, Any] | None  # key, authentication_key, title, counter, client
HOST = "127.0.0.1"
TIMEOUT = 5


class Ours:
    """dlms-mqtt."""

    def __init__(self, framing: str, port: int, protection: Protection = None) -> None:
        from dlms_mqtt.client.client import DlmsClient
        from dlms_mqtt.client.settings import ConnectionSettings
        from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
        from dlms_mqtt.protocol.obis import Obis

        options = self._protected(protection) if protection else {}
        settings = ConnectionSettings(tcp=(HOST, port), framing=framing, max_info=128, **options)
        self._runner = asyncio.Runner()
        self._one = AttributeDescriptor(3, Obis(names.REGISTERS[0]), 2)
        self._twenty = [AttributeDescriptor(3, Obis(obis), 2) for obis in names.REGISTERS]
        self._view = AttributeDescriptor(15, Obis(names.VIEW), 2)
        self._client = self._run(self._open(DlmsClient, settings))

    def _protected(self, protection: dict[str, Any]) -> dict[str, Any]:
        from dlms_mqtt.protocol.secret import Secret

        return {
            "client": protection["client"],
            "authentication": "gmac",
            "encryption_key": Secret(protection["key"]),
            "authentication_key": Secret(protection["authentication_key"]),
            "system_title": protection["title"],
            "invocation_counter": protection["counter"],
        }

    async def _open(self, kind: Any, settings: Any) -> Any:
        client = kind(settings)
        await client.open()
        return client

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def gets(self, count: int) -> int:
        async def work() -> None:
            for _ in range(count):
                assert (await self._client.get(self._one)).value == FIRST

        self._run(work())
        return count

    def lists(self, count: int) -> int:
        async def work() -> None:
            for _ in range(count):
                assert (await self._client.get_many(self._twenty))[19].value == LAST

        self._run(work())
        return 20 * count

    def profile(self) -> int:
        from dlms_mqtt.client.procedures.profile import read_profile
        from dlms_mqtt.protocol.obis import Obis

        return len(self._run(read_profile(self._client, Obis(names.PROFILE))).rows)

    def view(self) -> int:
        from dlms_mqtt.cosem.object_list import decode_object_list

        return len(decode_object_list(self._run(self._client.get_raw(self._view))))

    def close(self) -> None:
        self._run(self._client.close())
        self._runner.close()


class Gurux:
    """gurux-dlms: its client class with a plain socket under it."""

    def __init__(self, framing: str, port: int, protection: Protection = None) -> None:
        from gurux_dlms.enums import InterfaceType

        kind = InterfaceType.HDLC if framing == "hdlc" else InterfaceType.WRAPPER
        self._hdlc = framing == "hdlc"
        self._socket = _connected(port)
        self._client = self._protected(kind, protection) if protection else self._plain(kind)
        with redirect_stdout(io.StringIO()):
            self._connect()

    def _plain(self, kind: Any) -> Any:
        from gurux_dlms.enums import Authentication
        from gurux_dlms.GXDLMSClient import GXDLMSClient

        return GXDLMSClient(True, 16, 1, Authentication.NONE, None, kind)

    def _protected(self, kind: Any, protection: dict[str, Any]) -> Any:
        from gurux_dlms.enums import Authentication, Security
        from gurux_dlms.secure import GXDLMSSecureClient

        client = GXDLMSSecureClient(True, protection["client"], 1, Authentication.HIGH_GMAC, None, kind)
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.systemTitle = protection["title"]
        client.ciphering.blockCipherKey = protection["key"]
        client.ciphering.authenticationKey = protection["authentication_key"]
        client.ciphering.invocationCounter = protection["counter"]
        return client

    def _connect(self) -> None:
        client = self._client
        if self._hdlc:
            client.parseUAResponse(self._ask(client.snrmRequest()).data)
        client.parseAareResponse(self._ask(client.aarqRequest()).data)
        if client.isAuthenticationRequired:
            client.parseApplicationAssociationResponse(self._ask(client.getApplicationAssociationRequest()).data)

    def _ask(self, requests: Any) -> Any:
        """Send a request (one message or several) and read the whole answer."""
        from gurux_dlms.GXByteBuffer import GXByteBuffer
        from gurux_dlms.GXReplyData import GXReplyData

        messages = requests if isinstance(requests, list) else [requests]
        for message in messages:
            reply = GXReplyData()
            self._exchange(message, reply, GXByteBuffer())
            while reply.isMoreData():
                self._exchange(self._client.receiverReady(reply), reply, GXByteBuffer())
        return reply

    def _exchange(self, message: Any, reply: Any, received: Any) -> None:
        self._socket.sendall(bytes(message))
        notify = None
        while True:
            received.set(self._socket.recv(4096))
            if self._client.getData(received, reply, notify):
                break
        if reply.error:
            raise RuntimeError(reply.getErrorMessage())

    def gets(self, count: int) -> int:
        from gurux_dlms.objects import GXDLMSRegister

        item = GXDLMSRegister(dotted(names.REGISTERS[0]))
        with redirect_stdout(io.StringIO()):  # it says on standard output that it deciphers
            for _ in range(count):
                assert self._ask(self._client.read(item, 2)).value == FIRST
        return count

    def lists(self, count: int) -> int:
        from gurux_dlms.objects import GXDLMSRegister

        items = [(GXDLMSRegister(dotted(obis)), 2) for obis in names.REGISTERS]
        for _ in range(count):
            found: list[Any] = []
            for message in self._client.readList(items):
                found += self._ask(message).value
            assert found[19] == LAST
        return 20 * count

    def profile(self) -> int:
        from gurux_dlms.objects import GXDLMSProfileGeneric

        profile = GXDLMSProfileGeneric(dotted(names.PROFILE))
        client = self._client
        client.updateValue(profile, 3, self._ask(client.read(profile, 3)).value)
        client.updateValue(profile, 2, self._ask(client.read(profile, 2)).value)
        return len(profile.buffer)

    def view(self) -> int:
        return len(self._client.parseObjects(self._ask(self._client.getObjectsRequest()).data, True))

    def close(self) -> None:
        if self._hdlc:
            self._ask(self._client.disconnectRequest())
        self._socket.close()


def quiet_dlms_cosem() -> None:
    """It writes every step to standard output by default."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class DlmsCosem:
    """dlms-cosem, silenced: by default it writes every step to standard output."""

    def __init__(self, framing: str, port: int, protection: Protection = None) -> None:
        from dlms_cosem.client import DlmsClient
        from dlms_cosem.io import BlockingTcpIO, HdlcTransport, TcpTransport
        from dlms_cosem.security import HighLevelSecurityGmacAuthentication, NoSecurityAuthentication

        quiet_dlms_cosem()
        kind = HdlcTransport if framing == "hdlc" else TcpTransport
        client = protection["client"] if protection else 16
        transport = kind(client, 1, BlockingTcpIO(HOST, port, timeout=TIMEOUT))
        options: dict[str, Any] = {"authentication": NoSecurityAuthentication()}
        if protection:
            options = {
                "authentication": HighLevelSecurityGmacAuthentication(challenge_length=16),
                "encryption_key": protection["key"],
                "authentication_key": protection["authentication_key"],
                "client_system_title": protection["title"],
                "client_initial_invocation_counter": protection["counter"],
            }
        self._client = DlmsClient(transport=transport, **options)
        self._client.connect()
        self._client.associate()

    def _attribute(self, kind: str, obis: Any, number: int) -> Any:
        from dlms_cosem import cosem, enumerations

        return cosem.CosemAttribute(getattr(enumerations.CosemInterface, kind), cosem.Obis(*obis), number)

    def gets(self, count: int) -> int:
        from dlms_cosem.utils import parse_as_dlms_data

        attribute = self._attribute("REGISTER", names.REGISTERS[0], 2)
        for _ in range(count):
            assert parse_as_dlms_data(self._client.get(attribute)) == FIRST
        return count

    def lists(self, count: int) -> int:
        from dlms_cosem import cosem

        items = [
            cosem.CosemAttributeWithSelection(attribute=self._attribute("REGISTER", obis, 2), access_selection=None)
            for obis in names.REGISTERS
        ]
        for _ in range(count):
            answer = self._client.get_many(items)
            assert answer.response_data[19].value == LAST
        return 20 * count

    def profile(self) -> int:
        from dlms_cosem.parsers import ProfileGenericBufferParser

        kinds = ["CLOCK", "DATA", *["REGISTER"] * 4]
        codes = [names.CLOCK, names.STATUS, *names.REGISTERS[:4]]
        self._client.get(self._attribute("PROFILE_GENERIC", names.PROFILE, 3))
        columns = [self._attribute(name, code, 2) for name, code in zip(kinds, codes, strict=True)]
        buffer = self._client.get(self._attribute("PROFILE_GENERIC", names.PROFILE, 2))
        return len(ProfileGenericBufferParser(capture_objects=columns, capture_period=15).parse_bytes(buffer))

    def view(self) -> int:
        from dlms_cosem.parsers import AssociationObjectListParser

        octets = self._client.get(self._attribute("ASSOCIATION_LN", names.VIEW, 2))
        return len(AssociationObjectListParser.parse_bytes(octets))

    def close(self) -> None:
        self._client.release_association()
        self._client.disconnect()


class Pydlms:
    """pydlms-client."""

    def __init__(self, framing: str, port: int, protection: Protection = None) -> None:
        from pydlms.client import DlmsClient

        options = self._protected(protection) if protection else {}
        self._client = DlmsClient.tcp(HOST, port, hdlc=framing == "hdlc", timeout=TIMEOUT, **options)
        self._client.connect()

    def _protected(self, protection: dict[str, Any]) -> dict[str, Any]:
        from pydlms.security.context import SecurityContext

        security = SecurityContext(
            protection["key"],
            protection["authentication_key"],
            client_system_title=protection["title"],
            invocation_counter=protection["counter"],
        )
        return {"client_sap": protection["client"], "mechanism": 5, "security": security}

    def gets(self, count: int) -> int:
        from pydlms.obis import ObisCode

        obis = ObisCode(*names.REGISTERS[0])
        for _ in range(count):
            assert self._client.get(obis, 3, 2).value == FIRST
        return count

    def lists(self, count: int) -> int:
        from pydlms.obis import ObisCode

        items = [(ObisCode(*obis), 3, 2) for obis in names.REGISTERS]
        for _ in range(count):
            assert self._client.get_many(items)[19].value == LAST
        return 20 * count

    def profile(self) -> int:
        return len(self._client.read_profile(dotted(names.PROFILE), typed=True).rows)

    def view(self) -> int:
        return len(self._client.get_association_view())

    def close(self) -> None:
        self._client.close()


CLIENTS = {"dlms-mqtt": Ours, "gurux-dlms": Gurux, "dlms-cosem": DlmsCosem, "pydlms-client": Pydlms}


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def most_memory() -> float:
    """MB that this process had at most (getrusage would count the parent's before it)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def run(name: str, framing: str, port: int, pipe: Any, protection: dict[str, Any] | None = None) -> None:
    """Do the jobs that come through the pipe: (method, arguments) -> (count, seconds, CPU seconds, max RSS in MB)."""
    logging.disable(logging.CRITICAL)
    client = CLIENTS[name](framing, port, protection)
    pipe.send("ready")
    while (job := pipe.recv()) is not None:
        method, *arguments = job
        start, cpu = time.perf_counter(), time.process_time()
        try:
            count = getattr(client, method)(*arguments)
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {error}"[:60])
            continue
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        pipe.send((count, seconds, cpu, most_memory()))
    with suppress(Exception):  # after a failed job some cannot leave in order
        client.close()
