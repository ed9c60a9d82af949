"""A slow line: 9600 baud on a pseudo-terminal that takes its time, a meter that answers after 30 ms.

One session: connect, 20 registers with scaler and unit by the library's own list call, disconnect. The least that this
exchange takes with information fields of 128 is 965 octets of 10 bits and 7 turns: 1.22 s.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

from benchmarks import names
from benchmarks.clients import quiet_dlms_cosem
from benchmarks.contest import CONTENDERS, OURS, Table
from benchmarks.names import FIRST, LAST, dotted

BAUD, LATENCY = 9600, 0.03
ROUNDS = 2
#: information field -> octets and turns of the leanest session
LEAST = {128: (965, 7), 1024: (884, 4)}
Session = Callable[[str, int], None]  # device, information field


class Line:
    """The line and its meter, in a process of their own."""

    def __init__(self, max_info: int, sign_on: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_line, args=(there, max_info, sign_on), daemon=True)
        self._process.start()
        self.device = self._pipe.recv()

    def end(self) -> tuple[int, int]:
        """Octets in both directions, and turns."""
        self._pipe.send(None)
        octets, turns = self._pipe.recv()
        self._process.join(2)
        self._process.kill()
        return octets, turns


def _line(pipe: Any, max_info: int, sign_on: bool) -> None:
    asyncio.run(_serve(pipe, max_info, sign_on))


async def _serve(pipe: Any, max_info: int, sign_on: bool) -> None:
    from dlms_mqtt.protocol.framing.mode_e import SignOnServer
    from dlms_mqtt.protocol.framing.sign_on import Identification
    from dlms_mqtt.transport.base import SerialFormat
    from tests.line import SIGN_ON, PacedPty, sign_on_as_meter

    async with PacedPty(SIGN_ON if sign_on else SerialFormat(BAUD), latency=LATENCY) as line:

        async def meter() -> None:
            from benchmarks.meter import HdlcMeter, values

            answers = HdlcMeter(values(1, 1), max_info)
            if sign_on:
                await sign_on_as_meter(
                    line.meter, SignOnServer(Identification("ISK", "5", ("2",), "ME371"), confirm=False)
                )
            while True:
                if answer := answers.feed(await line.meter.read(None)):
                    line.meter.write(answer)

        task = asyncio.create_task(meter())
        pipe.send(line.device)
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        task.cancel()
        pipe.send((sum(line.count.octets), line.count.turns))


def main() -> None:
    """Print what each needs, against the least."""
    sessions = {OURS: ours, "gurux-dlms": gurux, "dlms-cosem": dlms_cosem, "pydlms-client": pydlms}
    for max_info, (octets, turns) in LEAST.items():
        least = octets * 10 / BAUD + turns * LATENCY
        print(f"-- information field {max_info}: least {octets} octets, {turns} turns, {least:.2f} s")
        _compare(sessions, max_info, sign_on=False)
    print("-- sign-on from 300 baud, not confirmed by the meter; information field 128")
    _compare({OURS: partial(ours, opening="sign-on"), "pydlms-client": partial(pydlms, sign_on=True)}, 128, True)


def _compare(sessions: dict[str, Session], max_info: int, sign_on: bool) -> None:
    seconds: dict[str, float] = {}
    counts: dict[str, tuple[int, int]] = {}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            line = Line(max_info, sign_on)
            start = time.perf_counter()
            session(line.device, max_info)
            seconds[name] = min(seconds.get(name, 1e9), time.perf_counter() - start)
            counts[name] = line.end()
    Table().row("session, s", seconds, more=False, form=".2f", target=0.97)  # clocks jitter; the tests count exactly
    print("   octets and turns: " + ", ".join(f"{n} {counts[n][0]}/{counts[n][1]}" for n in CONTENDERS if n in counts))


def ours(device: str, max_info: int, **options: Any) -> None:
    """dlms-mqtt: one call reads values, scalers and units."""
    from dlms_mqtt.client.client import DlmsClient
    from dlms_mqtt.client.settings import ConnectionSettings
    from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
    from dlms_mqtt.protocol.obis import Obis

    async def session() -> None:
        wanted = [AttributeDescriptor(3, Obis(code), 2) for code in names.REGISTERS]
        settings = ConnectionSettings(serial=device, max_info=None if max_info == 128 else max_info, **options)
        async with DlmsClient(settings) as client:
            found = await client.read(wanted)
            assert [found[0].data.value, found[19].data.value, found[19].unit] == [FIRST, LAST, "Wh"]

    asyncio.run(session())


def gurux(device: str, max_info: int) -> None:
    """gurux-dlms: its client class over pyserial."""
    import serial
    from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
    from gurux_dlms.enums import Authentication, InterfaceType
    from gurux_dlms.objects import GXDLMSRegister

    client = GXDLMSClient(True, 16, 1, Authentication.NONE, None, InterfaceType.HDLC)
    client.hdlcSettings.maxInfoTX = client.hdlcSettings.maxInfoRX = max_info
    with serial.Serial(device, BAUD, timeout=5) as port, redirect_stdout(io.StringIO()):

        def ask(message: Any) -> Any:
            if isinstance(message, list):
                return [ask(part) for part in message][-1]
            reply = GXReplyData()
            _exchange(message, reply)
            while reply.isMoreData():
                _exchange(client.receiverReady(reply), reply)
            return reply

        def _exchange(message: Any, reply: Any) -> None:
            port.write(bytes(message))
            received = GXByteBuffer()
            while True:
                received.set(port.read_until(b"\x7e") or _silence())
                if received.size > 2 and client.getData(received, reply, None):
                    return

        client.parseUAResponse(ask(client.snrmRequest()).data)
        client.parseAareResponse(ask(client.aarqRequest()).data)
        items = [(GXDLMSRegister(dotted(code)), number) for number in (2, 3) for code in names.REGISTERS]
        found: list[Any] = []
        for message in client.readList(items):
            found += ask(message).value
        assert found[:20] == list(range(FIRST, LAST + 1))
        ask(client.disconnectRequest())


def _silence() -> bytes:
    raise TimeoutError("the meter is silent")


def dlms_cosem(device: str, max_info: int) -> None:
    """dlms-cosem: it cannot propose another information field."""
    from dlms_cosem import cosem, enumerations
    from dlms_cosem.client import DlmsClient
    from dlms_cosem.io import HdlcTransport, SerialIO
    from dlms_cosem.security import NoSecurityAuthentication

    quiet_dlms_cosem()
    register = enumerations.CosemInterface.REGISTER
    items = [
        cosem.CosemAttributeWithSelection(cosem.CosemAttribute(register, cosem.Obis(*code), number), None)
        for number in (2, 3)
        for code in names.REGISTERS
    ]
    client = DlmsClient(
        transport=HdlcTransport(16, 1, SerialIO(device, BAUD)), authentication=NoSecurityAuthentication()
    )
    with client.session() as session:
        assert session.get_many(items).response_data[19].value == LAST


def pydlms(device: str, max_info: int, sign_on: bool = False) -> None:
    """pydlms-client."""
    from pydlms.client import DlmsClient
    from pydlms.hdlc.connection import HdlcParameters
    from pydlms.obis import ObisCode

    parameters = HdlcParameters(max_info_tx=max_info, max_info_rx=max_info)
    make = partial(DlmsClient.optical, device) if sign_on else partial(DlmsClient.serial, device, BAUD)
    items = [(ObisCode(*code), 3, number) for number in (2, 3) for code in names.REGISTERS]
    with make(hdlc_parameters=None if max_info == 128 else parameters) as client:
        assert client.get_many(items)[19].value == LAST
