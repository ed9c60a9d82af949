"""Random mixtures of speed, parity, opening, address, client, echo, noise and oddity, each made from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from dlms_mqtt.meter.finder.candidates import SPEEDS, STATIONS
from dlms_mqtt.protocol.framing.sign_on import Identification
from tests.meter.finder_bench import PASSWORD, Bench, public, reader

NOISE = ((), (), ("noise:6,p=0.4",), ("garbled:1,p=0.08",), ("lost,p=0.08",), ("deaf,p=0.08",))
ODD_UA = ("odd-ua:empty", "odd-ua:short", "odd-ua:long", "odd-ua:window-only", "odd-ua:reversed")
FLAGS = ("ISK", "LGZ", "ELS", "EMR", "kam", "HXE", "ACE")


@dataclass
class Mixture:
    """A meter on its bench, the equipment between (``path``), and what it was made of, in words."""

    seed: int
    bench: Bench
    path: dict[str, Any] = field(default_factory=dict)
    words: str = ""

    @property
    def reader(self) -> int:
        """The client that asks for the password."""
        return next(client.client for client in self.bench.clients if client.name == "reader")


def mixture(seed: int) -> Mixture:
    """The mixture of a seed."""
    random = Random(seed)
    bench = Bench(seed=seed)
    made = Mixture(seed, bench)
    bench.opening = random.choices(("direct", "sign-on"), (0.5, 0.5))[0]
    _speed(random, bench)
    _station(random, bench)
    _clients(random, bench)
    bench.echo = random.random() < 0.3
    bench.latency = random.choice((0.02, 0.05, 0.1, 0.2))
    bench.faults = random.choice(NOISE)
    oddity = random.choice(ODDITIES[bench.opening])
    oddity(random, made)
    made.words = (
        f"{bench.opening} {bench.baud} {bench.parity} station {bench.station} clients "
        f"{[(c.client, c.mechanism.name) for c in bench.clients]}{' strict' if bench.silent_clients else ''}"
        f"{' echo' if bench.echo else ''} {','.join(bench.faults)} {oddity.__name__.strip('_')}"
    )
    return made


def _speed(random: Random, bench: Bench) -> None:
    if bench.opening == "direct":
        speed = random.choices(SPEEDS, [0.02 + item.weight for item in SPEEDS])[0]
        bench.baud, bench.parity = speed.baud, speed.parity
        return
    character = random.choice("34566")
    bench.baud = {"3": 2400, "4": 4800, "5": 9600, "6": 19200}[character]
    bench.identification = Identification(random.choice(FLAGS), character, ("2",), f"METER{bench.seed}")


def _station(random: Random, bench: Bench) -> None:
    if random.random() < 0.8 or bench.baud < 2400:
        station = random.choices(STATIONS, [0.02 + item.weight for item in STATIONS])[0]
        bench.station = (station.server, station.physical, station.size)
    else:
        bench.station = (1, random.randrange(3, 126), 2)


def _clients(random: Random, bench: Bench) -> None:
    if random.random() < 0.8:
        bench.clients = (public(), reader(random.choice((1, 2, 32))))
    else:
        bench.clients = (public(random.choice((1, 32, 2))), reader(100, PASSWORD))
    bench.silent_clients = random.random() < 0.3


def _nothing(_random: Random, _made: Mixture) -> None:
    pass


def _odd_ua(random: Random, made: Mixture) -> None:
    made.bench.faults = (*made.bench.faults, random.choice(ODD_UA))


def _dm_first(_random: Random, made: Mixture) -> None:
    made.bench.dm_first = 1


def _slow(_random: Random, made: Mixture) -> None:
    made.bench.faults = (*made.bench.faults, "delay:0.6")


def _deaf_after_switch(_random: Random, made: Mixture) -> None:
    made.bench.deaf_after_switch = 0.8


def _no_confirmation(_random: Random, made: Mixture) -> None:
    made.bench.confirm = False


def _eight_bits(_random: Random, made: Mixture) -> None:
    """The port does 8N1 only; a meter that wants a parity bit behind eight would be out of its reach."""
    made.path = {"eight_bits": True}
    made.bench.parity = "none"


def _noise_first(_random: Random, made: Mixture) -> None:
    made.bench.sign_on_faults = ("noise-before-identification:3",)


def _first_request_lost(_random: Random, made: Mixture) -> None:
    made.bench.sign_on_faults = ("deaf,times=1",)


def _asleep(_random: Random, made: Mixture) -> None:
    made.bench.asleep = True


ODDITIES = {
    "direct": (_nothing, _odd_ua, _dm_first, _slow, _eight_bits),
    "sign-on": (
        _nothing,
        _odd_ua,
        _dm_first,
        _deaf_after_switch,
        _no_confirmation,
        _eight_bits,
        _noise_first,
        _first_request_lost,
        _asleep,
    ),
}

READOUT = (
    b"0.0.0(62810711)\r\nF.F(00000000)\r\n0.9.1(194858)\r\n0.9.2(250901)\r\nC.1.0(62810711)\r\n1.8.0(0080241.444*kWh)\r\n"
    b"1.8.1(0041605.295*kWh)\r\n1.8.2(0038636.149*kWh)\r\n2.8.0(0000000.004*kWh)\r\n3.8.0(0002580.099*kVArh)\r\n"
)


def readout_mixture(seed: int) -> Mixture:
    """A meter in clear text: modes A, B and C, with and without the announcement of HDLC."""
    random = Random(seed)
    letter = random.choice("55543200BDF ")
    escapes = ("2",) if letter.isdigit() and random.random() < 0.3 else ()
    said = Identification(random.choice(FLAGS), letter, escapes, f"METER{seed}")
    bench = Bench(opening="sign-on", seed=seed, identification=said, readout=READOUT, readout_always=True)
    made = Mixture(seed, bench)
    bench.echo = random.random() < 0.3
    bench.latency = random.choice((0.02, 0.05, 0.1, 0.2))
    oddity = random.choice((_nothing, _eight_bits, _noise_first, _first_request_lost, _asleep))
    oddity(random, made)
    made.words = f"readout {said.encode()!r}{' echo' if bench.echo else ''} {oddity.__name__.strip('_')}"
    return made
