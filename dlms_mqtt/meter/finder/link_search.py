"""The first half of a search: from a silent line to a station that answers, by working through the plan.

Nothing here knows a password. A hit is a valid frame of the meter that answers SNRM (or an AARE in the wrapper): only
that proves speed, parity and address.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dlms_mqtt.client.association.ciphering import PUBLIC_CLIENT
from dlms_mqtt.client.line.opening import CLEAR_TEXT, make_ready, wake_by_break
from dlms_mqtt.client.line.readout import Readout, Tally, read_out
from dlms_mqtt.client.line.sign_on import SignOnFailed, plan_sign_on, run_sign_on
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.data_lines import data_lines
from dlms_mqtt.errors import ConnectFailed, ConnectionLost, RemoteProtocolError, ResponseTimeout
from dlms_mqtt.meter.finder import plan
from dlms_mqtt.meter.finder.candidates import Fixed, Speed, Station, hints_of
from dlms_mqtt.meter.finder.diagnosis import nobody_there
from dlms_mqtt.meter.finder.evidence import Evidence, Seen, answers, judge, odd_parameters, station
from dlms_mqtt.meter.finder.line import Line
from dlms_mqtt.meter.finder.plan import Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.meter.presets.preset import matching, preset_connection
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Frame, Kind, encode_frame
from dlms_mqtt.protocol.framing.sign_on import BAUD_RATES, Identification
from dlms_mqtt.transport.base import Transport

Options = dict[str, Any]
Stage = Callable[[float, float, str], None]

_HOLDS_OF_HDLC = 3  # sign-ons with which a meter that announces HDLC is asked for it before its clear text
_HOLD = 10.0  # s after a sign-on in which the meter surely still waits for HDLC
_SIGN_ON_WAIT = 1.6  # s: the standard allows 1.5 until an answer begins
_CONFUSED = frozenset({Evidence.DAMAGED, Evidence.GARBLED, Evidence.OTHER_STATION})
_ANSWERED = frozenset({Evidence.UA, Evidence.DM, Evidence.FRMR})
_WAKE_UPS = frozenset({"wake_up", "wake_up_break"})
_SETTLE = 1.0
_PAUSE, _LONGEST_READOUT = 1.5, 120.0
# s after which one meter in eight would still be found: without an octet from a network address, with an echo alone.
_SILENT, _ECHOED = 60.0, 90.0
_LATE = 0.5  # s: what takes longer has its remark
_LATEST, _REMEMBERED = 3.0, 8  # s within which a meter may answer late, and questions that are remembered


@dataclass(slots=True)
class Probing:
    """Works the plan on one line; ``facts`` collect what was seen."""

    settings: ConnectionSettings
    open_line: Callable[[ConnectionSettings], Transport]
    fixed: Fixed
    facts: Facts
    stage: Stage
    wrapper_answers: Callable[[Options], Any]
    news: Callable[[float], None]
    go_on: bool = False
    line: Line | None = None
    pushed: Options | None = None
    spent: float = 0.0
    told: Readout | None = None
    _waited: float = 0.0  # the longest, for one answer
    _clear_text: Options | None = None
    _lines: tuple[bool, ...] = ()
    _history: list[tuple[float, Options]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = self._usual_lines

    @property
    def _usual_lines(self) -> tuple[bool, ...]:
        return self.settings.dtr is not False, self.settings.rts is not False

    async def run(self) -> Options | None:
        """The connection options that reach a station or a readout (``told``); None: nothing answered."""
        try:
            found = await self._run()
            if found is None and self._clear_text is not None:
                return await self._read_out(self._clear_text)
            return found
        finally:
            await self.close()

    async def _run(self) -> Options | None:
        if self.settings.udp is not None:
            self.facts.has_speed = False
            return await self._work(plan.wrapped(self.fixed, 1.0))
        line = await self._open()
        self.facts.has_speed = line.has_speed
        if line.has_speed:
            return await self._work(plan.serial_plan(self.fixed))
        return await self._work(plan.stream_plan(self.fixed, self.settings.framing))

    async def _work(self, probes: list[Probe]) -> Options | None:
        left = list(probes)
        total = sum(probe.cost for probe in left)
        while left:
            probe = left.pop(0)
            self.stage(self.spent, self._most(total), _words(probe))
            found = await self._try(probe)
            self.spent += probe.cost
            self._waited = max(self._waited, probe.wait)
            if found is not None:
                return found
            self.news(self._most(total) - self.spent)
            if self.pushed is not None and not self.go_on:
                return None
            left = self._reorder(left) if self.pushed is None else self._at_that_speed(left)
            left = self._for_nobody(left) if self._ends_early else left
        return None

    @property
    def _ends_early(self) -> bool:
        """Is nobody there, as far as is known, so that rarer clients and addresses tell hardly more?"""
        return not self.go_on and nobody_there(self.facts)

    def _most(self, total: float) -> float:
        """What the search takes as far as is known now."""
        return min(total, max(self._patience, self.spent)) if self._ends_early else total

    @property
    def _patience(self) -> float:
        """Seconds that are spent where nobody is there, as far as is known."""
        return _ECHOED if self.facts.has_speed else _SILENT

    def _for_nobody(self, left: list[Probe]) -> list[Probe]:
        """Before the end one more question, with the patience that meters behind a modem want."""
        patient = [probe for probe in left if probe.wait >= plan.PATIENT and self._waited < plan.PATIENT][:1]
        return patient if self.spent + sum(probe.cost for probe in patient) >= self._patience else left

    def _at_that_speed(self, left: list[Probe]) -> list[Probe]:
        """A meter pushes: it hardly answers questions, but the likeliest are asked at the speed of its pushes."""
        speed = (self.pushed or {}).get("baud")
        return [p for p in left if p.kind == "direct" and p.burst_of(PUBLIC_CLIENT) and p.options.get("baud") == speed]

    async def _try(self, probe: Probe) -> Options | None:
        try:
            if not await self._powered(probe.options):
                return None
            found: Options | None = await _KINDS[probe.kind](self, probe)
        except ConnectionLost:
            self.facts.closed += 1
            await self.close()
            await asyncio.sleep(_SETTLE)
            return None
        return found

    async def _powered(self, options: Mapping[str, Any]) -> bool:
        """Set the modem lines as a probe wants them; False: this line has none that could be set."""
        wanted = tuple(options.get(name, getattr(self.settings, name)) is not False for name in ("dtr", "rts"))
        if wanted == self._lines:
            return True
        line = await self._open()
        try:
            await line.transport.lines(*wanted)
        except ConnectFailed:
            return False
        self._lines = wanted
        await asyncio.sleep(plan.WARM_UP)
        line.forget()
        return True

    def _reorder(self, left: list[Probe]) -> list[Probe]:
        """Octets that nobody asked for: the meter may be one that pushes, so listening comes earlier."""
        if self.line is None or not self.line.unasked:
            return left
        seen = judge(b"", self.line.unasked)
        self.line.unasked = b""
        if seen.evidence in (Evidence.NOTHING, Evidence.OTHER_STATION):
            return left
        self.facts.oddities.add("unasked")
        here = self.line.transport.format
        listening = [probe for probe in left if probe.kind == "listen"]
        listening.sort(key=lambda probe: here is not None and probe.options.get("baud") != here.baud)
        return listening + [probe for probe in left if probe.kind != "listen"]

    # -- the line -----------------------------------------------------------------------------------------------------

    async def _open(self) -> Line:
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

    # -- direct HDLC --------------------------------------------------------------------------------------------------

    async def _direct(self, probe: Probe) -> Options | None:
        line = await self._open()
        if probe.options.get("baud"):
            await line.set_speed(probe.options["baud"], probe.options["parity"])
        earlier = self._earlier(probe)
        frame = await self._asked(line, probe)
        if frame is None:
            return None
        options = await self._settings_of(line, frame, earlier) if earlier else dict(probe.options)
        # A meter that has signed on and not yet fallen back answers directly; next time it wants the sign-on again.
        way = {"opening": "sign-on"} if self.facts.identification is not None else options
        return way | _address(frame) | _framing(line)

    def _earlier(self, probe: Probe) -> list[Options]:
        """Other settings under which somebody was asked so lately that an answer may still come."""
        now = asyncio.get_running_loop().time()
        own = _settings(probe.options)
        recent = {tuple(asked.items()): asked for at, asked in self._history if now - at < _LATEST and asked != own}
        self._history = [*self._history[-_REMEMBERED:], (now, own)]
        return list(recent.values())[::-1]

    async def _settings_of(self, line: Line, frame: Frame, earlier: list[Options]) -> Options:
        """Under which settings this station really answers: its answer may be a late one to an earlier question."""
        question = encode_frame(Kind.SNRM | POLL, frame.source, frame.destination)
        own = self._history[-1][1]
        for options in (own, *earlier) * 2:  # the answer to one of them may be lost
            await self._powered(options)
            await line.set_speed(options["baud"], options["parity"])
            seen = await line.ask(question, plan.SLOW)
            if seen.evidence in _ANSWERED:
                self.facts.answered_late = self.facts.answered_late or line.took > _LATE
                await self._leave(line, seen)
                return options
        return own

    async def _asked(self, line: Line, probe: Probe) -> Frame | None:
        """Ask the stations of a probe, burst by burst; a sweep waits at its end for whoever is late."""
        step = probe.burst or len(probe.stations)
        before: tuple[Station, ...] = ()
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
        late = await line.listen(plan.FAST)
        for frame in {(frame.source, frame.destination): frame for frame in answers(seen.received + late)}.values():
            self.facts.stations.add(station(frame))
            left = await line.ask(encode_frame(Kind.DISC | POLL, frame.source, frame.destination), plan.FAST)
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
                self._clear_text = {}
                self.news(0.0)
        if seen.evidence in (Evidence.SWALLOWS_FF, Evidence.SWALLOWS_XON, Evidence.EXPANDS_LF, Evidence.SEVEN_BITS):
            self.facts.path_faults.add(str(seen.evidence))
        if seen.evidence is Evidence.PUSH and self.line is not None and self.pushed is None:
            form = self.line.transport.format
            self.pushed = {"baud": form.baud, "parity": form.parity} if form else {}

    # -- sign-on ------------------------------------------------------------------------------------------------------

    async def _sign_on(self, probe: Probe) -> Options | None:
        if self.fixed.opening == "readout":
            return await self._read_out(probe.options)
        found = await self._sign_on_once(probe.options)
        said = self.facts.identification
        if found is None and self._clear_text is not None and said is not None and said.offers_mode_e:
            await _silence((await self._open()).transport)
            found = await self._sign_on_once(probe.options)  # damage may have made a choice of it that was none
        if found is None:
            return await self._read_out(probe.options) if self._clear_text == probe.options else None
        self._clear_text = None
        if self.facts.sign_on["silent"] and set(probe.options) <= {"opening", "framing"}:
            self.facts.oddities.add("request-lost")
        self.facts.identification = found
        self.news(0.0)
        asked = _behind_sign_on(found, self.fixed)
        total = sum(candidate.cost for candidate in asked)
        holds = _HOLDS_OF_HDLC if found.offers_mode_e else 1
        while asked:
            holds -= 1
            left = sum(candidate.cost for candidate in asked)
            self.stage(self.spent + total - left, self.spent + total, "looking for the address behind the sign-on")
            frame = await self._while_it_waits(asked, _speed(found).baud)
            if frame is not None:
                return await self._signed_on(probe, frame)
            if (holds == 0 or self._clear_text is not None) and (options := await self._read_out(probe.options)):
                return options
            if asked:  # silent: it has not yet fallen back, so HDLC goes on
                await self._sign_on_once(probe.options)
        return None

    async def _read_out(self, options: Mapping[str, Any]) -> Options | None:
        """Does the meter tell its values in clear text?"""
        line = await self._open()
        values = {key: value for key, value in options.items() if key in ("baud", "parity", *_WAKE_UPS)}
        self.stage(self.spent, self.spent, "reading out in clear text")
        await _silence(line.transport)
        try:
            told = await read_out(line.transport, self._with(opening="readout", retries=1, **values), Tally())
        except (ResponseTimeout, RemoteProtocolError):
            return None
        finally:
            self._clear_text = None
        if next(data_lines(told.text), None) is None:
            return None
        self.told = told
        self.facts.linked, self.facts.identification = True, told.identification or self.facts.identification
        return {"opening": "readout", **values}

    async def _signed_on(self, probe: Probe, frame: Frame) -> Options:
        said = self.facts.identification
        found = {
            "parity": said is not None and said.parity_seen,
            "sign-on-speed": "baud" in probe.options,
            "asleep": bool(_WAKE_UPS & set(probe.options)),
        }
        self.facts.oddities |= {name for name, holds in found.items() if holds}
        return dict(probe.options) | _address(frame) | _framing(await self._open())

    async def _while_it_waits(self, asked: list[Probe], baud: int) -> Frame | None:
        """Ask stations behind a sign-on, as long as the meter surely still waits; what was asked is taken away."""
        line = await self._open()
        await line.set_speed(baud)
        loop = asyncio.get_running_loop()
        until = loop.time() + _HOLD
        first = asked[0]
        while asked and loop.time() < until:
            probe = asked.pop(0)
            frame = await self._asked(line, probe)
            if self._clear_text is not None:
                return None
            if frame is not None:
                late = self.facts.answered_late
                if not late and probe is not first and any(_sent_by(frame, where) for where in first.stations):
                    self.facts.oddities.add("first-frame-lost")
                return frame
        return None

    async def _sign_on_once(self, options: Mapping[str, Any]) -> Identification | None:
        line = await self._open()
        values = {key: value for key, value in options.items() if key in ("baud", "parity", *_WAKE_UPS)}
        settings = self._with(opening="sign-on", **values)
        if "wake_up_break" in options:
            await wake_by_break(line.transport, settings)
        machine = plan_sign_on(line.transport, settings)
        software = machine.software_parity
        await line.set_speed(machine.initial_baud, "none" if software else "even", 8 if software else 7)
        try:
            done = await run_sign_on(line.transport, _once(machine, options))
        except SignOnFailed as error:
            self.facts.sign_on[error.reason] += 1
            line.seen[Evidence.ECHO if error.reason == "echo" else judge(b"", error.received).evidence] += 1
            if error.reason == CLEAR_TEXT:
                self.facts.oddities.add("readout")
                self.facts.identification, self._clear_text = error.identification, dict(options)
                self.news(0.0)
            return None
        self.facts.oddities |= done.notes
        return done.identification

    def _with(self, **values: Any) -> ConnectionSettings:
        return replace(self.settings, **values)

    # -- pushes, wrapper, scan ----------------------------------------------------------------------------------------

    async def _listen(self, probe: Probe) -> Options | None:
        line = await self._open()
        if probe.options.get("baud"):
            await line.set_speed(probe.options["baud"], probe.options["parity"])
        received = await line.listen(probe.wait)
        seen = judge(b"", received)
        if seen.evidence is not Evidence.NOTHING:
            line.seen[seen.evidence] += 1
        if seen.evidence in (Evidence.PUSH, Evidence.READOUT, Evidence.WRAPPER):
            self.pushed = dict(probe.options)
            self.facts.oddities.add("telegram" if seen.evidence is Evidence.READOUT else "push")
        return None

    async def _wrapper(self, probe: Probe) -> Options | None:
        await self.close()  # a meter may take one connection only
        answered = await self.wrapper_answers(dict(probe.options))
        self.facts.answered_late = self.facts.answered_late or (answered and "timeout" in probe.options)
        return dict(probe.options) if answered else None


async def _silence(transport: Transport) -> None:
    """Wait until a meter that is in the middle of its readout has come to the end of it."""
    with contextlib.suppress(ResponseTimeout, TimeoutError):
        async with asyncio.timeout(_LONGEST_READOUT):
            while await transport.read(_PAUSE):
                pass


def _once(machine: Any, options: Mapping[str, Any]) -> Any:
    return replace(machine, attempts=1, response_timeout=_SIGN_ON_WAIT, opening_delay=0.0)


def _settings(options: Mapping[str, Any]) -> Options:
    return {key: value for key, value in options.items() if key in ("baud", "parity", "dtr", "rts")}


def _speed(found: Identification) -> Speed:
    return Speed(BAUD_RATES.get(found.baud_character, 300), "none", 1.0)


def _behind_sign_on(found: Identification, fixed: Fixed) -> list[Probe]:
    """As for direct HDLC; the likeliest is asked again soon, for meters that are deaf just after the switch."""
    hints = hints_of((name, preset_connection(name)) for name in matching(flag=found.manufacturer))
    probes = plan.direct([_speed(found)], fixed, (found.text,), hints)
    alone = [probe for probe in probes if probe.wait == plan.SLOW]
    return [*probes[:2], *alone[:1], *probes[2:]]


def _sent_by(frame: Frame, where: Station) -> bool:
    return frame.source == encode_address(where.server, where.physical, where.size)


def _questions(probe: Probe) -> bytes:
    source = encode_address(probe.options["client"])
    return b"".join(
        encode_frame(Kind.SNRM | POLL, encode_address(where.server, where.physical, where.size), source)
        for where in probe.stations
    )


def _address(frame: Frame) -> Options:
    """Station and client out of the meter's own answer: the question may have been a broadcast, or one before."""
    upper, lower, size = station(frame)
    options: Options = {"client": frame.destination[0] >> 1, "server": upper}
    if lower is not None:
        options["physical"] = lower
    if len(encode_address(upper, lower, 0)) != size:
        options["address_size"] = size
    return options


def _framing(line: Line) -> Options:
    return {} if line.has_speed else {"framing": "hdlc"}


def _words(probe: Probe) -> str:
    if probe.kind == "sign-on":
        return "sign-on" + (" after a wake-up" if _WAKE_UPS & set(probe.options) else "")
    speed = f"{probe.options['baud']} baud" if probe.options.get("baud") else ""
    return f"{probe.kind} {speed}".strip()


_KINDS: dict[str, Callable[[Probing, Probe], Any]] = {
    "direct": Probing._direct,
    "sweep": Probing._direct,
    "sign-on": Probing._sign_on,
    "listen": Probing._listen,
    "wrapper": Probing._wrapper,
}
