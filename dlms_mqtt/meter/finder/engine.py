"""The search as a whole: what was found last time first, then station, association and the words for the result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from dlms_mqtt.client.line.readout import Readout
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME
from dlms_mqtt.client.services.readouts import objects_of
from dlms_mqtt.client.settings import (
    ACCESS_SECRETS,
    CALLED_LINES,
    LINE_SECRETS,
    NETWORK_LINES,
    ConnectionSettings,
    implied,
    parse_options,
)
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.finder import candidates, diagnosis
from dlms_mqtt.meter.finder.association_search import REFUSED, Attempt, Entering
from dlms_mqtt.meter.finder.candidates import Fixed
from dlms_mqtt.meter.finder.link_search import LinkSearch
from dlms_mqtt.meter.finder.results import LOST, Facts, Found, Limits
from dlms_mqtt.meter.finder.transparency import check_path
from dlms_mqtt.transport import Transport, transport_for

Options = dict[str, Any]
Progress = Callable[[float, float, str], None]

NAMESPACE = "finder"
_IN_CLEAR_TEXT = "The meter tells its values in clear text after a sign-on (opening: readout)."
_ENERGY = 8  # group D
_OF_THE_LINE = frozenset({"echo", "parity", "noise-before-identification", "modem-lines", "asleep", "no-energy"})
_SURVEY = 20.0  # s for the other clients
_AFTER_SIGN_ON = 3  # of them (one is known already), where each costs a sign-on
#: Keys of a line that can be searched: on one where meters connect by themselves there is nobody to call.
_LINE = (*CALLED_LINES, *LINE_SECRETS)
#: Options that say who we are: used only when the link is proved.
CREDENTIALS = frozenset(
    ACCESS_SECRETS | {"authentication", "security", "suite", "ciphering", "system_title", "invocation_counter"}
)
_SEARCHED = ("baud", "parity", "opening", "client", "server", "physical", "address_size")


async def find(
    line: Mapping[str, Any] | ConnectionSettings,
    *,
    open_line: Callable[[ConnectionSettings], Transport] = transport_for,
    store: Store | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    credentials: Mapping[str, Any] | None = None,
    news: Callable[[diagnosis.News], None] | None = None,
) -> Found:
    """Search one line. ``line``: its name and whatever the user knows, as below ``connection:``; ConfigError.

    ``news`` is called with a sentence as soon as there is something to know.

    ConnectFailed when the port cannot be opened; everything else ends in a Found.
    """
    given = _options(line)
    own = {key: given.pop(key) for key in list(given) if key in CREDENTIALS} | parse_options(credentials or {})
    own = implied(own)
    ConnectionSettings(**given, **own)  # mistakes are told before anything is opened
    search = _Search(given, own, open_line, store, progress or _ignore, limits or Limits(), news or (lambda _: None))
    return await search.run()


def _options(line: Mapping[str, Any] | ConnectionSettings) -> Options:
    if not isinstance(line, ConnectionSettings):
        return parse_options(line)
    return {row.name: getattr(line, row.name) for row in fields(line) if getattr(line, row.name) != row.default}


class _Search:
    def __init__(
        self,
        given: Options,
        credentials: Options,
        open_line: Callable[[ConnectionSettings], Transport],
        store: Store | None,
        progress: Progress,
        limits: Limits,
        tell: Callable[[diagnosis.News], None],
    ) -> None:
        self.given = given
        self.credentials = credentials
        self.open_line = open_line
        self.store = store
        self.progress = progress
        self.limits = limits
        self.tell = tell
        self._began = 0.0  # by the loop's clock
        self._link: Options | None = None
        self._entering: Entering | None = None
        self._link_search: LinkSearch | None = None
        self._clients: list[dict[str, Any]] = []
        self._found: Attempt | None = None
        self.reported: set[str] = set()
        self.facts = Facts(network=bool(set(NETWORK_LINES) & set(given)))
        self.settings = ConnectionSettings(**{k: v for k, v in given.items() if k not in (*_SEARCHED, "referencing")})
        lines = frozenset({"dtr", "rts"} & set(given))
        self.fixed = Fixed(**{key: given.get(key) for key in _SEARCHED}, numbers=limits.numbers, lines=lines)
        if "client" in credentials or self.fixed.client is None:
            return
        if credentials:
            credentials["client"] = self.fixed.client

    async def run(self) -> Found:
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        try:
            async with asyncio.timeout(self.limits.seconds):
                attempt = await self._search()
        except TimeoutError:
            attempt = self._found
            self.facts.out_of_time = attempt is None
        found = self._result(attempt)
        if found.found and self.store is not None:
            self.store.set(NAMESPACE, self.settings.line, self._kept(found))
            self.store.set(NAMESPACE, self._asking_key, list(self.facts.wants_password))
        return Found(**{**_fields(found), "seconds": loop.time() - self._began})

    @property
    def _asking_key(self) -> str:
        """Beside what is kept of a line: the clients of its meter that ask for a secret."""
        return f"{self.settings.line} asking"

    def _stage(self, done: float, total: float, stage: str) -> None:
        """The estimate: all that may be tried, as far as the time limit lets it."""
        self.progress(min(done, self.limits.seconds), min(total, self.limits.seconds), stage)

    def _news(self, more: float) -> None:
        """Tell what is known by now, each thing once; ``more``: seconds that the search may still take."""
        seconds = asyncio.get_running_loop().time() - self._began
        for case in diagnosis.news(self.facts, seconds):
            if case.name not in self.reported:
                self.reported.add(case.name)
                self.tell(diagnosis.News(case, min(more, self.limits.seconds - seconds)))

    async def _search(self) -> Attempt | None:
        remembered = await self._remembered()
        if remembered is not None:
            asking = self.store.get(NAMESPACE, self._asking_key) if self.store is not None else None
            self.facts.wants_password += [n for n in asking or () if n not in self.facts.wants_password]
            return await self._with_energy(remembered) if _hidden(remembered) and asking is None else remembered
        self._link_search = LinkSearch(
            self.settings,
            self.open_line,
            self.fixed,
            self.facts,
            self._stage,
            self._wrapper_answers,
            self._news,
            self.limits.go_on,
        )
        self._link = await self._link_search.run()
        if self._link is None:
            return None
        if self._link_search.readout is not None:
            return Attempt(self._link, learned=_learned_of(self._link_search.readout))
        attempt = await self._enter().run(self._link)
        if not attempt.reason:
            attempt = await self._with_energy(attempt)
        if attempt.reason in LOST:
            self.facts.path_faults |= await check_path(self.open_line, self.settings, self._link)
        return attempt

    async def _with_energy(self, attempt: Attempt) -> Attempt:
        """Who else may come in; one of them in the place of a client that is shown no energy, if it is and is open."""
        self._found, hidden = attempt, _hidden(attempt)
        if attempt.options.get("opening") == "readout":  # it has no clients
            return attempt
        most = self.limits.clients if attempt.options.get("opening") != "sign-on" else _AFTER_SIGN_ON if hidden else 0
        plain = {key: value for key, value in attempt.options.items() if key not in CREDENTIALS}
        better = attempt
        try:  # what more there is must not spoil what was found
            async with asyncio.timeout(_SURVEY):
                self._clients = await self._enter().survey(plain, most)
                if hidden and self.fixed.client is None:
                    better = await self._enter().first_with_energy(plain, self._clients) or attempt
        except (DlmsMqttError, TimeoutError):
            pass
        return better

    def _enter(self) -> Entering:
        if self._entering is None:
            self._entering = Entering(
                self.settings,
                self.open_line,
                self.facts,
                self.store,
                self.credentials,
                self.progress,
                candidates.clients(self.fixed),
                self.limits.clients,
                self.limits.patience,
            )
        return self._entering

    async def _remembered(self) -> Attempt | None:
        """What worked last time on this line, if it still does; without secrets, which are not kept.

        A meter that wanted a password then is asked without one first: that proves the link anew.
        """
        kept = self.store.get(NAMESPACE, self.settings.line) if self.store is not None else None
        if not kept:
            return None
        self.progress(0, 1, "as last time")
        options = {"client": 16} | parse_options(kept) | {k: v for k, v in self.given.items() if k not in CALLED_LINES}
        entering = self._enter()
        attempt = await entering.attempt(options)
        if attempt.reason == "password" or (not attempt.reason and self.credentials):
            self._link = options
            attempt = await entering.run(options)
        elif attempt.reason:
            self._entering = None
            self.facts.refusals.clear()
            return None
        self.facts.oddities.add("remembered")
        return attempt

    async def _wrapper_answers(self, options: Options) -> bool:
        """Whether somebody speaks the wrapper: an acceptance and a refusal both prove it."""
        entering = self._enter()
        attempt = await entering.attempt(options)
        if attempt.reason in ("silence", "line"):
            entering.attempts.clear()
            self.facts.refusals.clear()
            self.facts.closed += attempt.reason == "line"
            return False
        self.facts.linked = True
        return True

    # -- the words ----------------------------------------------------------------------------------------------------

    def _result(self, attempt: Attempt | None) -> Found:
        if attempt is not None and not attempt.reason:
            return self._success(attempt)
        cases = diagnosis.causes(self.facts)
        link = attempt.options if attempt is not None else self._link
        connection = self._connection(link) if link is not None else self._listening()
        proved = self.facts.linked and link is not None and bool(self.facts.wants_password)
        return Found(
            found=proved,
            connection=connection,
            diagnosis=f"{_sentence(cases[0].sentence)} {cases[0].step}",
            causes=tuple(f"{_sentence(case.sentence)} {case.step}" for case in cases),
            names=tuple(case.name for case in cases),
            learned=self._learned({}),
        )

    def _success(self, attempt: Attempt) -> Found:
        if {"dtr", "rts"} & set(attempt.options) - self.fixed.lines:
            self.facts.oddities.add("modem-lines")
        here = attempt.options.get("server", 1)
        if any(device["server"] != here for device in attempt.learned.get("logical_devices", ())):
            self.facts.oddities.add("logical-devices")
        hidden = _hidden(attempt)
        wanting, here = self.facts.wants_password, attempt.options.get("client")
        asking = [client for client in wanting if client != here] if hidden else []
        self.facts.oddities |= {"no-energy"} if hidden else set()
        clear_text = attempt.options.get("opening") == "readout"
        notes = diagnosis.remarks(self.facts)
        if clear_text:  # what was odd on the way to HDLC says nothing of a meter that does not speak it
            notes = [case for case in notes if case.name in _OF_THE_LINE]
        connection = self._connection(attempt.options)
        words = _IN_CLEAR_TEXT if clear_text else f"The meter answers{_where(connection)}."
        remarks = " ".join(_sentence(case.sentence) for case in notes)
        remarks = f"{_without_energy(attempt, asking)} {remarks}" if hidden else remarks
        return Found(
            found=True,
            connection=connection,
            diagnosis=f"{words} {remarks}".strip(),
            causes=(),
            names=tuple(case.name for case in notes),
            learned=self._learned(attempt.learned),
            complete=True,
        )

    def _connection(self, options: Options) -> Options:
        """The block: the line, what the user gave, what was found; defaults and throw-away options left out."""
        merged = self.given | options
        if merged.get("opening") == "readout":
            merged.pop("client", None)
        defaults = {row.name: row.default for row in fields(ConnectionSettings)}
        return {key: value for key, value in merged.items() if value != defaults.get(key) or key in ("baud", "client")}

    def _listening(self) -> Options:
        """For a meter that pushes: the line as it was heard."""
        pushed = self._link_search.pushed if self._link_search is not None else None
        return self._connection(pushed) if pushed else {key: self.given[key] for key in _LINE if key in self.given}

    def _learned(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        learned = dict(facts)
        identification = self.facts.identification
        if identification is not None:
            learned |= {
                "identification": identification.encode().decode("ascii").strip(),
                "manufacturer": identification.manufacturer,
            }
        if len(self.facts.stations) > 1:
            found = sorted(self.facts.stations, key=str)
            learned["stations"] = [{"server": s, "physical": p, "address_size": size} for s, p, size in found]
        if clients := self._clients or [{"client": n, "access": "password"} for n in self.facts.wants_password]:
            learned["clients"] = clients  # of a search before only those that asked are known
        if self.facts.wants_password:
            learned["clients_with_password"] = list(self.facts.wants_password)
        return learned

    def _kept(self, found: Found) -> Options:
        block = found.json()["connection"]
        return {key: value for key, value in block.items() if key not in CREDENTIALS}


def forget(store: Store) -> None:
    """What was found on lines, and which secrets were refused there."""
    store.forget(NAMESPACE)
    store.forget(REFUSED)


def _fields(found: Found) -> Options:
    return {row.name: getattr(found, row.name) for row in fields(Found)}


def _learned_of(readout: Readout) -> dict[str, Any]:
    """What the readout shows: who the meter is, how many values, and whether there is energy among them."""
    objects = objects_of(readout)
    name = objects[LOGICAL_DEVICE_NAME.obis].values[2].value
    energy = any(obis[0] == 1 and obis[3] == _ENERGY for obis in objects)
    return {"logical_device_name": name, "objects": len(objects) - 2, "energy": energy}


def _hidden(attempt: Attempt) -> bool:
    """Was it let in, and shown neither energy nor power?"""
    return not attempt.reason and attempt.learned.get("energy") is False


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _without_energy(attempt: Attempt, asking: list[int]) -> str:
    number = attempt.learned.get("objects", 0)
    if attempt.options.get("opening") == "readout":
        return f"It holds {number} values and no energy: the grid operator sets what it tells."
    client = attempt.options["client"]
    shown = f"Client {client} shows {number} objects and no energy"
    if not asking:
        return f"{shown}: ask the grid operator which client may read it (--client)."
    names = " and ".join(map(str, asking))
    verb = "asks" if len(asking) == 1 else "ask"
    return f"{shown}; client {names} {verb} for a password: run again with --client {asking[0]} and --password."


def _where(connection: Options) -> str:
    opening = " after a sign-on" if connection.get("opening") == "sign-on" else ""
    parity = connection.get("parity", "none")[0].upper()
    speed = f" at {connection['baud']} baud 8{parity}1" if connection.get("baud") and not opening else ""
    address = f"server {connection.get('server', 1)}"
    if connection.get("physical") is not None:
        address += f"/{connection['physical']}"
    return f"{opening}{speed}: client {connection.get('client', 16)}, {address}"


def _ignore(_done: float, _total: float, _stage: str) -> None:
    """Nobody watches."""
