"""Asking stations for an HDLC link: SNRM under the settings of a probe, and what an answer, late or cut, really says.

A link that is made is taken down again at once: a meter that is left in one refuses the next.

Asking one address after another and waiting for each would take minutes, so several SNRM go out in one burst: a meter
listens to its own address and passes over the rest. What makes that hard, and what is done about it:

    several answers in one      a meter with more than one of the addresses, or two meters on a bus, speak at once and
                                garble each other: the stations are asked again, one by one (``_CONFUSED``)
    an answer to the question   it comes while the next one is sent: its frame says which station and client it is for,
    before                      but not at which speed that was, so the speeds of late are tried again
                                (``_earlier``, ``_settings_of``)
    DM, FRMR instead of UA      the meter is there and in another state, mostly in a link of an earlier client: a DISC
                                and an SNRM of its own bring it back to its start (``_snrm``)
    an echo                     two-wire heads give back what is sent; `evidence.py` takes it off

The settings that are handed on are those of the meter's own answer, not of the question: a broadcast and a burst do not
tell who will speak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dlms_mqtt.client.line.opening import make_ready
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.meter.finder import plan
from dlms_mqtt.meter.finder.candidates import Station
from dlms_mqtt.meter.finder.evidence import Evidence, Seen, answers, odd_parameters, station
from dlms_mqtt.meter.finder.line import Line
from dlms_mqtt.meter.finder.plan import Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Frame, Kind, encode_frame
from dlms_mqtt.protocol.framing.registry import HDLC
from dlms_mqtt.transport.base import Transport

Options = dict[str, Any]

_CONFUSED = frozenset({Evidence.DAMAGED, Evidence.GARBLED, Evidence.OTHER_STATION})
_ANSWERED = frozenset({Evidence.UA, Evidence.DM, Evidence.FRMR})
_LATE = 0.5  # s: what takes longer has its remark
_LATEST, _REMEMBERED = 3.0, 8  # s within which a meter may answer late, and questions that are remembered


@dataclass(slots=True)
class StationSearch:
    """One line with its stations; ``clear_text``: with which options a meter has said that it tells its values so."""

    settings: ConnectionSettings
    open_line: Callable[[ConnectionSettings], Transport]
    facts: Facts
    news: Callable[[float], None]
    line: Line | None = None
    pushed: Options | None = None
    clear_text: Options | None = None
    _lines: tuple[bool, ...] = ()
    _history: list[tuple[float, Options]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = self._usual_lines

    @property
    def _usual_lines(self) -> tuple[bool, ...]:
        return self.settings.dtr is not False, self.settings.rts is not False

    # -- the line -----------------------------------------------------------------------------------------------------

    async def open(self) -> Line:
        """The line, which stays open until ``close``. TransportError."""
        if self.line is None:
            transport = self.open_line(self.settings)
            await transport.open()
            try:
                await make_ready(transport, self.settings)
            except BaseException:
                await transport.close()
                raise
            self._lines = self._usual_lines
            self.line = Line(transport)
            self.line.seen = self.facts.seen
        return self.line

    async def close(self) -> None:
        """Leave the port."""
        line, self.line = self.line, None
        if line is not None:
            if line.echo:
                self.facts.oddities.add("echo")
            await line.transport.close()

    async def powered(self, options: Mapping[str, Any]) -> bool:
        """Set the modem lines as a probe wants them; False: this line has none that could be set."""
        wanted = tuple(options.get(name, getattr(self.settings, name)) is not False for name in ("dtr", "rts"))
        if wanted == self._lines:  # changing them costs a warm-up of the head
            return True
        line = await self.open()
        try:
            await line.transport.lines(*wanted)
        except ConnectFailed:
            return False
        self._lines = wanted
        await asyncio.sleep(plan.WARM_UP)
        line.forget()
        return True

    # -- the stations -------------------------------------------------------------------------------------------------

    async def direct(self, probe: Probe) -> Options | None:
        """The options that reach a station of the probe, out of its own answer; None: nobody is there."""
        line = await self.open()
        if probe.options.get("baud"):
            await line.set_speed(probe.options["baud"], probe.options["parity"])
        earlier = self._earlier(probe)
        frame = await self.ask(line, probe)
        if frame is None:
            return None
        options = await self._settings_of(line, frame, earlier) if earlier else dict(probe.options)
        # A meter that has signed on and not yet fallen back answers directly; next time it wants the sign-on again.
        way = {"opening": "sign-on"} if self.facts.identification is not None else options
        return way | address_of(frame) | framing_of(line)

    def _earlier(self, probe: Probe) -> list[Options]:
        """Other settings under which somebody was asked so lately that an answer may still come."""
        # The newest first: most late answers are to the question right before.
        now = asyncio.get_running_loop().time()
        own = _settings(probe.options)
        recent = {
            tuple(earlier.items()): earlier for at, earlier in self._history if now - at < _LATEST and earlier != own
        }
        self._history = [*self._history[-_REMEMBERED:], (now, own)]
        return list(recent.values())[::-1]

    async def _settings_of(self, line: Line, frame: Frame, earlier: list[Options]) -> Options:
        """Under which settings this station really answers: its answer may be a late one to an earlier question."""
        question = encode_frame(Kind.SNRM | POLL, frame.source, frame.destination)
        own = self._history[-1][1]
        for options in (own, *earlier) * 2:  # the answer to one of them may be lost
            await self.powered(options)
            await line.set_speed(options["baud"], options["parity"])
            seen = await line.ask(question, plan.SLOW)
            if seen.evidence in _ANSWERED:
                self.facts.answered_late = self.facts.answered_late or line.took > _LATE
                await self._leave(line, seen)
                return options
        return own

    async def ask(self, line: Line, probe: Probe) -> Frame | None:
        """Ask the stations of a probe, burst by burst; a sweep waits at its end for whoever is late."""
        step = probe.burst or len(probe.stations)
        before: tuple[Station, ...] = ()
        # A sweep does not wait the whole patience for each burst: who is late is heard in the next one, or at the end.
        for start in range(0, len(probe.stations), step):
            group = probe.stations[start : start + step]
            frame = await self._snrm(line, replace(probe, stations=group), before)
            if frame is not None:
                return frame
            before = group
        return await self._snrm(line, replace(probe, stations=(), wait=plan.SLOW)) if probe.burst else None

    async def _snrm(self, line: Line, probe: Probe, before: tuple[Station, ...] = ()) -> Frame | None:
        """Ask stations for a link; when one answers, take its link down again. A confused answer is looked into.

        It may also be the late one of who was asked ``before``, cut by the echo of this question.
        """
        seen = await line.ask(_questions(probe), probe.wait)
        self._learn(seen)
        # One lone station whose answer is damaged is not asked again here: the plan does that, later.
        if seen.evidence in _CONFUSED and len(probe.stations) > 1:
            singles = [replace(probe, stations=(station,)) for station in probe.stations]
            late = [replace(probe, stations=before, wait=plan.SLOW)] if before else []
            return await self._first(line, late + singles)
        if seen.frame is None or seen.evidence not in _ANSWERED:
            return None
        self.facts.linked = True
        self.facts.answered_late = self.facts.answered_late or line.took > _LATE
        if odd_parameters(seen.frame):
            self.facts.oddities.add("odd-ua")
        await self._leave(line, seen)
        if seen.evidence is not Evidence.UA:
            # It had an old link, or none: a link that is made and ended properly lets it fall back to its start.
            self.facts.oddities.add(str(seen.evidence))
            again = encode_frame(Kind.SNRM | POLL, seen.frame.source, seen.frame.destination)
            await self._leave(line, await line.ask(again, plan.SLOW))
        return seen.frame

    async def _leave(self, line: Line, seen: Seen) -> None:
        """Take down every link that a burst has set up: a meter may answer to several of its addresses."""
        # More answers of the burst may be on the way, and a DISC into the middle of one would garble both.
        late = await line.listen(plan.FAST)
        for frame in {(frame.source, frame.destination): frame for frame in answers(seen.received + late)}.values():
            self.facts.stations.add(station(frame))
            left = await line.ask(encode_frame(Kind.DISC | POLL, frame.source, frame.destination), plan.FAST)
            # Not even DISC is answered in time: then it is a meter that wants patience, which its settings will say.
            if left.frame is None and answers(await line.listen(plan.SLOW)):
                self.facts.answered_late = True

    async def _first(self, line: Line, probes: list[Probe]) -> Frame | None:
        for probe in probes:
            frame = await self._snrm(line, probe)
            if frame is not None:
                return frame
        return None

    def _learn(self, seen: Seen) -> None:
        if seen.evidence is Evidence.READOUT and self.line is not None:
            self.line.unasked = seen.received  # no meter answers SNRM with text
            if self.facts.identification is not None:  # it is what our sign-on has brought
                self.clear_text = {}
                self.news(0.0)
        # The path has shown itself in the answer: a converter that changes octets, which no setting of ours cures.
        if seen.evidence in (Evidence.SWALLOWS_FF, Evidence.SWALLOWS_XON, Evidence.EXPANDS_LF, Evidence.SEVEN_BITS):
            self.facts.path_faults.add(str(seen.evidence))
        # The speed at which a push was heard is the meter's; on a line without speed there is nothing to keep.
        if seen.evidence is Evidence.PUSH and self.line is not None and self.pushed is None:
            form = self.line.transport.format
            self.pushed = {"baud": form.baud, "parity": form.parity} if form else {}


def _settings(options: Mapping[str, Any]) -> Options:
    return {key: value for key, value in options.items() if key in ("baud", "parity", "dtr", "rts")}


def _questions(probe: Probe) -> bytes:
    source = encode_address(probe.options["client"])
    return b"".join(
        encode_frame(Kind.SNRM | POLL, encode_address(where.server, where.physical, where.size), source)
        for where in probe.stations
    )


def address_of(frame: Frame) -> Options:
    """Station and client out of the meter's own answer: the question may have been a broadcast, or one before."""
    upper, lower, size = station(frame)
    # The lowest bit of an address octet says that it is the last one (IEC 62056-46, clause 6.4.2).
    options: Options = {"client": frame.destination[0] >> 1, "server": upper}
    if lower is not None:
        options["physical"] = lower
    # Some meters want four octets where one would do; what is as long as needed goes without saying.
    if len(encode_address(upper, lower, 0)) != size:
        options["address_size"] = size
    return options


def framing_of(line: Line) -> Options:
    """HDLC is what a serial line has by itself; on other lines it is said."""
    return {} if line.has_speed else {"framing": HDLC}
