"""The sign-on in a search (IEC 62056-21, mode E): who answers at 300 baud, in HDLC behind it or in clear text.

A meter waits some seconds after its sign-on: so many stations are asked in one wait, then it is signed on to again.

    sign on          nobody: the next probe
                     clear text at once: what it says is kept; one that offers mode E is signed on to once more
    ask stations     for as long as it waits (10 s), the likeliest addresses of its maker first
                     one answers: found. None: sign on again and go on where the list was
    read out         once, after one such wait, or after three where the meter announces HDLC: maybe it has clear text
                     alone. Where it has none either, the rest of the list is asked

All of it is one probe of the search, because each step leaves the meter in a state that the next has to know. An
address that was asked while the meter had already fallen back would count as silent for ever, so what is asked is asked
well within the wait.

Source: IEC 62056-21:2002, clauses 6.3 (messages) and 6.4.5 (mode E).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dlms_mqtt.client.line.opening import CLEAR_TEXT, wake_by_break
from dlms_mqtt.client.line.readout import Readout, Tally, read_out
from dlms_mqtt.client.line.sign_on import SignOnFailed, plan_sign_on, run_sign_on
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.data_lines import data_lines
from dlms_mqtt.errors import RemoteProtocolError, ResponseTimeout
from dlms_mqtt.meter.finder import plan
from dlms_mqtt.meter.finder.candidates import Fixed, Speed, Station, hints_of
from dlms_mqtt.meter.finder.evidence import Evidence, judge
from dlms_mqtt.meter.finder.plan import Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.meter.finder.station_search import Options, StationSearch, address_of, framing_of
from dlms_mqtt.meter.presets.preset import matching, preset_connection
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Frame
from dlms_mqtt.protocol.framing.sign_on import BAUD_RATES, Identification
from dlms_mqtt.transport.base import Transport

WAKE_UPS = frozenset({"wake_up", "wake_up_break"})
_HOLDS_OF_HDLC = 3  # sign-ons with which a meter that announces HDLC is asked for it before its clear text
_HOLD = 10.0  # s after a sign-on in which the meter surely still waits for HDLC
_SIGN_ON_WAIT = 1.6  # s: the standard allows 1.5 until an answer begins
_PAUSE, _LONGEST_READOUT = 1.5, 120.0  # s of silence that end a readout, and s that one may take at 300 baud


@dataclass(slots=True)
class SignOnSearch:
    """``stage`` gets what is done and what there is to do of one sign-on, in seconds, and what is being done.

    ``fixed`` is what the user has said and what is not searched for; ``readout`` is what was read in clear text, which
    is not read a second time for the report.
    """

    stations: StationSearch
    fixed: Fixed
    stage: Callable[[float, float, str], None]
    readout: Readout | None = None

    @property
    def _facts(self) -> Facts:
        return self.stations.facts

    async def run(self, probe: Probe) -> Options | None:
        """The options that reach a station behind the sign-on, or a readout (``readout``); None: neither."""
        if self.fixed.opening == "readout":
            return await self.read_out(probe.options)
        # A sign-on costs two seconds and puts the meter into a state: it waits for HDLC for a while, or tells its
        # values in clear text for up to two minutes. So what it says is used to the last, before anything else is
        # tried.
        found = await self._sign_on_once(probe.options)
        identification = self._facts.identification
        if (
            found is None
            and self.stations.clear_text is not None
            and identification is not None
            and identification.offers_mode_e
        ):
            await _silence((await self.stations.open()).transport)
            found = await self._sign_on_once(probe.options)  # damage may have made a choice of it that was none
        # Text that came under other options than these was another probe's finding: its readout is that one's.
        if found is None:
            return await self.read_out(probe.options) if self.stations.clear_text == probe.options else None
        self.stations.clear_text = None
        if self._facts.sign_on["silent"] and set(probe.options) <= {"opening", "framing"}:
            self._facts.oddities.add("request-lost")  # the same request as one before that nobody has answered
        self._facts.identification = found
        self.stations.news(0.0)
        # Its letters name the maker, whose presets know the likeliest addresses.
        probes = _behind_sign_on(found, self.fixed)
        total = sum(candidate.cost for candidate in probes)
        holds = _HOLDS_OF_HDLC if found.offers_mode_e else 1
        while probes:
            # A meter that announces HDLC is asked for it in several waits; one that does not gets one, then its clear
            # text.
            holds -= 1
            left = sum(candidate.cost for candidate in probes)
            self.stage(total - left, total, "looking for the address behind the sign-on")
            frame = await self._while_it_waits(probes, _speed(found).baud)
            if frame is not None:
                return await self._signed_on(probe, frame)
            if (holds == 0 or self.stations.clear_text is not None) and (options := await self.read_out(probe.options)):
                return options
            if probes:  # silent: it has not yet fallen back, so HDLC goes on
                await self._sign_on_once(probe.options)
        return None

    async def read_out(self, options: Mapping[str, Any]) -> Options | None:
        """Does the meter tell its values in clear text?"""
        # With the options that have woken it, and no others: what is found is to be written down as settings.
        line = await self.stations.open()
        values = {key: value for key, value in options.items() if key in ("baud", "parity", *WAKE_UPS)}
        self.stage(0.0, 0.0, "reading out in clear text")
        # Who is still telling values hears nothing: the next request would be lost in the middle of them.
        await _silence(line.transport)
        try:
            found = await read_out(line.transport, self._with(opening="readout", retries=1, **values), Tally())
        except (ResponseTimeout, RemoteProtocolError):
            return None
        finally:
            self.stations.clear_text = None
        # Text alone is no readout: boot messages and menus of other devices are text as well. A line with an OBIS code
        # and a value is.
        if next(data_lines(found.text), None) is None:
            return None
        self.readout = found
        self._facts.linked, self._facts.identification = True, found.identification or self._facts.identification
        return {"opening": "readout", **values}

    async def _signed_on(self, probe: Probe, frame: Frame) -> Options:
        # What a bridge has to know to come this way each time is said by options; what was odd and did no harm, by
        # remarks of the report.
        identification = self._facts.identification
        found = {
            "parity": identification is not None and identification.parity_seen,
            "sign-on-speed": "baud" in probe.options,
            "asleep": bool(WAKE_UPS & set(probe.options)),
        }
        self._facts.oddities |= {name for name, holds in found.items() if holds}
        return dict(probe.options) | address_of(frame) | framing_of(await self.stations.open())

    async def _while_it_waits(self, probes: list[Probe], baud: int) -> Frame | None:
        """Ask stations behind a sign-on, as long as the meter surely still waits; what was asked is taken away."""
        line = await self.stations.open()
        await line.set_speed(baud)
        loop = asyncio.get_running_loop()
        until = loop.time() + _HOLD
        first = probes[0]
        while probes and loop.time() < until:
            probe = probes.pop(0)
            frame = await self.stations.ask(line, probe)
            if self.stations.clear_text is not None:
                return None
            if frame is not None:
                # The first station's answer to a later question: its own was sent too early behind the change of speed.
                late = self._facts.answered_late
                if not late and probe is not first and any(_sent_by(frame, where) for where in first.stations):
                    self._facts.oddities.add("first-frame-lost")
                return frame
        return None

    async def _sign_on_once(self, options: Mapping[str, Any]) -> Identification | None:
        line = await self.stations.open()
        values = {key: value for key, value in options.items() if key in ("baud", "parity", *WAKE_UPS)}
        settings = self._with(opening="sign-on", **values)
        if "wake_up_break" in options:
            await wake_by_break(line.transport, settings)
        machine = plan_sign_on(line.transport, settings)
        # 7E1 by the port, or by us in eight bits for converters that cannot. Both are read: an identification with the
        # eighth bit set says which it was.
        software = machine.software_parity
        await line.set_speed(machine.initial_baud, "none" if software else "even", 8 if software else 7)
        try:
            done = await run_sign_on(line.transport, _once(machine, options))
        except SignOnFailed as error:
            # What came is evidence as anywhere else in the search: of a wrong speed, of a reflection, of a path that
            # swallows octets.
            self._facts.sign_on[error.reason] += 1
            line.seen[Evidence.ECHO if error.reason == "echo" else judge(b"", error.received).evidence] += 1
            if error.reason == CLEAR_TEXT:
                self._facts.oddities.add("readout")
                self._facts.identification, self.stations.clear_text = error.identification, dict(options)
                self.stations.news(0.0)
            return None
        self._facts.oddities |= done.notes
        return done.identification

    def _with(self, **values: Any) -> ConnectionSettings:
        return replace(self.stations.settings, **values)


async def _silence(transport: Transport) -> None:
    """Wait until a meter that is in the middle of its readout has come to the end of it."""
    # A break (SOH B0 ETX) would be quicker where the meter hears; at another speed than the readout's it does not.
    with contextlib.suppress(ResponseTimeout, TimeoutError):
        async with asyncio.timeout(_LONGEST_READOUT):
            while await transport.read(_PAUSE):
                pass


def _once(machine: Any, options: Mapping[str, Any]) -> Any:
    # No repeats and no warm-up: the search has its own, and a silent port must not cost three times its wait.
    return replace(machine, attempts=1, response_timeout=_SIGN_ON_WAIT, opening_delay=0.0)


def _speed(found: Identification) -> Speed:
    # The speed that the meter has announced; HDLC is always 8N1, whatever the parity of the sign-on was.
    return Speed(BAUD_RATES.get(found.baud_character, 300), "none", 1.0)


def _behind_sign_on(found: Identification, fixed: Fixed) -> list[Probe]:
    """As for direct HDLC; the likeliest is asked again soon, for meters that are deaf just after the switch."""
    hints = hints_of((name, preset_connection(name)) for name in matching(flag=found.manufacturer))
    probes = plan.direct([_speed(found)], fixed, (found.text,), hints)
    alone = [probe for probe in probes if probe.wait == plan.SLOW]
    return [*probes[:2], *alone[:1], *probes[2:]]


def _sent_by(frame: Frame, where: Station) -> bool:
    return frame.source == encode_address(where.server, where.physical, where.size)
