"""The first half of a search: from a silent line to a station that answers, by working through the plan.

Nothing here knows a password. A hit is a valid frame of the meter that answers SNRM (or an AARE in the wrapper): only
that proves speed, parity and address.

The plan (`plan.py`) is a list of probes, the one with the most worth per second first, so that a usual meter is found
in seconds though rare ones take minutes. It is worked off in order, but what the line says changes what is left of it:

    octets that nobody asked for   somebody speaks by itself: listening comes before all questions (``_reorder``)
    a push was heard               the search ends; with ``go_on`` the likeliest questions at its speed are left
                                   (``_at_that_speed``): most customer interfaces never answer, some do
    nothing at all, or only echo   a wrong address or cable is likelier than a rare meter: the search ends early, with
                                   one last question for those behind a slow modem (``_for_nobody``)
    the connection is closed       by the peer, for the question or because it takes one at a time: on with the next

On UDP and in the wrapper there is no link: what is tried there is a whole AARQ, which the second half of the search
sends (``wrapper_answers``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dlms_mqtt.client.association.ciphering import PUBLIC_CLIENT
from dlms_mqtt.client.line.readout import Readout
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost
from dlms_mqtt.meter.finder import plan
from dlms_mqtt.meter.finder.candidates import Fixed
from dlms_mqtt.meter.finder.diagnosis import nobody_there
from dlms_mqtt.meter.finder.evidence import Evidence, judge
from dlms_mqtt.meter.finder.plan import Probe
from dlms_mqtt.meter.finder.results import Facts
from dlms_mqtt.meter.finder.sign_on_search import WAKE_UPS, SignOnSearch
from dlms_mqtt.meter.finder.station_search import Options, StationSearch
from dlms_mqtt.protocol.framing.registry import default_framing
from dlms_mqtt.transport.base import Transport

Stage = Callable[[float, float, str], None]

_SETTLE = 1.0  # s after a line that was closed
# s after which one meter in eight would still be found: without an octet from a network address, with an echo alone.
_SILENT, _ECHOED = 60.0, 90.0


class LinkSearch:
    """Works the plan on one line; ``facts`` collect what was seen."""

    def __init__(
        self,
        settings: ConnectionSettings,
        open_line: Callable[[ConnectionSettings], Transport],
        fixed: Fixed,
        facts: Facts,
        stage: Stage,
        wrapper_answers: Callable[[Options], Awaitable[bool]],
        news: Callable[[float], None],
        go_on: bool = False,
    ) -> None:
        self.settings, self.fixed, self.facts = settings, fixed, facts
        self.stage, self.news, self.go_on = stage, news, go_on
        self._wrapper_answers = wrapper_answers
        self._stations = StationSearch(settings, open_line, facts, news)
        self._sign_on = SignOnSearch(self._stations, fixed, self._stage_of_sign_on)
        self._spent = 0.0
        self._waited = 0.0  # the longest, for one answer
        self._kinds: dict[str, Callable[[Probe], Awaitable[Options | None]]] = {
            "direct": self._stations.direct,
            "sweep": self._stations.direct,
            "sign-on": self._sign_on.run,
            "listen": self._listen,
            "wrapper": self._wrapper,
        }

    @property
    def readout(self) -> Readout | None:
        """What a meter without HDLC has told in clear text."""
        return self._sign_on.readout

    @property
    def pushed(self) -> Options | None:
        """Under which options a meter speaks by itself, if one does."""
        return self._stations.pushed

    def _stage_of_sign_on(self, done: float, total: float, words: str) -> None:
        self.stage(self._spent + done, self._spent + total, words)

    async def run(self) -> Options | None:
        """The connection options that reach a station or a readout (``readout``); None: nothing answered."""
        try:
            found = await self._run()
            if found is None and self._stations.clear_text is not None:
                return await self._sign_on.read_out(self._stations.clear_text)
            return found
        finally:
            await self._stations.close()

    async def _run(self) -> Options | None:
        if self.settings.udp is not None:  # a datagram has no speed, no station and nothing to listen to
            self.facts.has_speed = False
            return await self._work(plan.unlinked(default_framing(serial=False), self.fixed, 1.0))
        # Behind an address there may be the meter itself (wrapper), or a converter that keeps the speed it was set to.
        line = await self._stations.open()
        self.facts.has_speed = line.has_speed
        if line.has_speed:
            return await self._work(plan.serial_plan(self.fixed))
        return await self._work(plan.stream_plan(self.fixed, self.settings.framing))

    async def _work(self, probes: list[Probe]) -> Options | None:
        left = list(probes)
        total = sum(probe.cost for probe in left)
        while left:
            probe = left.pop(0)
            self.stage(self._spent, self._most(total), _words(probe))
            found = await self._try(probe)
            self._spent += probe.cost
            self._waited = max(self._waited, probe.wait)
            if found is not None:
                return found
            self.news(self._most(total) - self._spent)
            if self._stations.pushed is not None and not self.go_on:
                return None
            # Each probe may have heard something that makes others likelier, or pointless.
            left = self._reorder(left) if self._stations.pushed is None else self._at_that_speed(left)
            left = self._for_nobody(left) if self._ends_early else left
        return None

    @property
    def _ends_early(self) -> bool:
        """Is nobody there, as far as is known, so that rarer clients and addresses tell hardly more?"""
        return not self.go_on and nobody_there(self.facts)

    def _most(self, total: float) -> float:
        """What the search takes as far as is known now."""
        return min(total, max(self._patience, self._spent)) if self._ends_early else total

    @property
    def _patience(self) -> float:
        """Seconds that are spent where nobody is there, as far as is known."""
        return _ECHOED if self.facts.has_speed else _SILENT

    def _for_nobody(self, left: list[Probe]) -> list[Probe]:
        """Before the end one more question, with the patience that meters behind a modem want."""
        # One is enough: of those that answer so late there are few, and such a question takes a quarter of a minute.
        patient = [probe for probe in left if probe.wait >= plan.PATIENT and self._waited < plan.PATIENT][:1]
        return patient if self._spent + sum(probe.cost for probe in patient) >= self._patience else left

    def _at_that_speed(self, left: list[Probe]) -> list[Probe]:
        """A meter pushes: it hardly answers questions, but the likeliest are asked at the speed of its pushes."""
        speed = (self._stations.pushed or {}).get("baud")
        return [p for p in left if p.kind == "direct" and p.burst_of(PUBLIC_CLIENT) and p.options.get("baud") == speed]

    async def _try(self, probe: Probe) -> Options | None:
        try:
            if not await self._stations.powered(probe.options):
                return None
            found = await self._kinds[probe.kind](probe)
        except ConnectionLost:  # a meter that takes one connection at a time wants a moment before the next
            self.facts.closed += 1
            await self._stations.close()
            await asyncio.sleep(_SETTLE)
            return None
        return found

    def _reorder(self, left: list[Probe]) -> list[Probe]:
        """Octets that nobody asked for: the meter may be one that pushes, so listening comes earlier."""
        if self._stations.line is None or not self._stations.line.unasked:
            return left
        seen = judge(b"", self._stations.line.unasked)
        self._stations.line.unasked = b""
        if seen.evidence in (Evidence.NOTHING, Evidence.OTHER_STATION):  # noise, or the neighbour on an RS-485 bus
            return left
        self.facts.oddities.add("unasked")
        # Octets that can be read were sent at the speed of the moment: it is listened to first.
        here = self._stations.line.transport.format
        listening = [probe for probe in left if probe.kind == "listen"]
        listening.sort(key=lambda probe: here is not None and probe.options.get("baud") != here.baud)
        return listening + [probe for probe in left if probe.kind != "listen"]

    # -- pushes and the wrapper ---------------------------------------------------------------------------------------

    async def _listen(self, probe: Probe) -> Options | None:
        line = await self._stations.open()
        if probe.options.get("baud"):
            await line.set_speed(probe.options["baud"], probe.options["parity"])
        received = await line.listen(probe.wait)
        seen = judge(b"", received)
        if seen.evidence is not Evidence.NOTHING:
            line.seen[seen.evidence] += 1
        # A whole frame or telegram is a meter that pushes; a damaged one only tells that the speed is another.
        if seen.evidence in (Evidence.PUSH, Evidence.READOUT, Evidence.WRAPPER):
            self._stations.pushed = dict(probe.options)
            self.facts.oddities.add("telegram" if seen.evidence is Evidence.READOUT else "push")
        return None

    async def _wrapper(self, probe: Probe) -> Options | None:
        await self._stations.close()  # a meter may take one connection only
        answered = await self._wrapper_answers(dict(probe.options))
        self.facts.answered_late = self.facts.answered_late or (answered and "timeout" in probe.options)
        return dict(probe.options) if answered else None


def _words(probe: Probe) -> str:
    if probe.kind == "sign-on":
        return "sign-on" + (" after a wake-up" if WAKE_UPS & set(probe.options) else "")
    speed = f"{probe.options['baud']} baud" if probe.options.get("baud") else ""
    return f"{probe.kind} {speed}".strip()
