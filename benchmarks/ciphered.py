"""CPU of protected GETs: HLS with GMAC, authenticated and encrypted, over the wrapper. The meter is pydlms-client's."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

from benchmarks.clients import CLIENTS
from benchmarks.contest import Table
from benchmarks.names import FIRST, REGISTERS, dotted
from benchmarks.reading import Contender
from dlms_mqtt.protocol.acse.messages import Mechanism

KEY, AUTHENTICATION_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
TITLE = b"HOM\x00\x00\x00\x00\x07"
CLIENT = 1
ROUNDS, GETS = 8, 600


def main() -> None:
    """Print the table."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    meter = context.Process(target=serve, args=(there,), daemon=True)
    meter.start()
    port = here.recv()
    ciphered: dict[str, float] = {}
    plain: dict[str, float] = {}
    try:
        for turn in range(ROUNDS):
            for name in CLIENTS:
                ciphered[name] = min(ciphered.get(name, 1e9), cpu_of(name, port, protection(name, turn)))
                plain[name] = min(plain.get(name, 1e9), cpu_of(name, port, None))
    finally:
        meter.terminate()
    table = Table()
    table.row("CPU s per 1,000 ciphered GETs", ciphered, more=False, form=".3f", target=2)
    extra = {name: ciphered[name] - plain[name] for name in CLIENTS}
    table.row("   of it for the ciphering", extra, more=False, form=".3f", target=2)


def cpu_of(name: str, port: int, security: dict[str, Any] | None) -> float:
    """CPU seconds of a contender for 1,000 GETs, the system's share included."""
    contender = Contender(name, "wrapper", port, security)
    contender.do(("gets", 20))
    count, _, cpu, _ = contender.do(("gets", GETS))
    contender.end()
    return float(cpu / count * 1000)


def protection(name: str, turn: int) -> dict[str, Any]:
    """What a contender needs to know; the counters rise from one to the next."""
    counter = 1_000_000 * (turn * len(CLIENTS) + list(CLIENTS).index(name) + 1)
    return {"key": KEY, "authentication_key": AUTHENTICATION_KEY, "title": TITLE, "counter": counter, "client": CLIENT}


def serve(ready: Any) -> None:
    """The meter: a peer's, so that nobody reads out of his own hands."""
    from pydlms.simulator import ClientProfile, DlmsData, MeterSimulator
    from pydlms.simulator import serve as serve_tcp

    meter = MeterSimulator(encryption_key=KEY, authentication_key=AUTHENTICATION_KEY, max_pdu=1024)
    public = ClientProfile()
    meter.clients[CLIENT] = ClientProfile(mechanism=type(public.mechanism)(Mechanism.HLS_GMAC), ciphered=True)
    meter.add_object(3, dotted(REGISTERS[0]), {2: DlmsData.uint32(FIRST)})
    ready.send(serve_tcp(meter).server_address[1])
    threading.Event().wait()
