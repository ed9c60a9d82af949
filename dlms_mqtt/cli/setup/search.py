"""The meter of a conversation: found on its line, with what only the user knows asked for when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlms_mqtt.cli.output import Progress, say, table
from dlms_mqtt.cli.setup import words
from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.client.option_values import SECRET_KINDS
from dlms_mqtt.client.settings import ACCESS_SECRETS, CALLED_LINES, SECRET_KEYS, key_apart, parse_options
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError, DlmsMqttError
from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.meter.finder.diagnosis import CAUSES, GOING_ON, REMARKS, SPEAKS, News
from dlms_mqtt.meter.finder.engine import forget
from dlms_mqtt.meter.presets.preset import load_preset, preset_names, preset_only_speaks
from dlms_mqtt.transport.ports import list_ports

_HEX = "0123456789abcdefABCDEF"
_GENERIC = "generic"


@dataclass(slots=True)
class Draft:
    """A meter as the configuration will say it; ``secrets``: by their keys, as ``text:...`` or ``hex:...``."""

    connection: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    preset: str = _GENERIC
    speaks: bool = False
    learned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The name of its line."""
        return next(str(self.connection[name]) for name in CALLED_LINES if name in self.connection)

    def section(self) -> dict[str, Any]:
        """Below ``meters.<id>``, with its secrets as they are."""
        preset = {} if self.preset == _GENERIC else {"preset": self.preset}
        push = {"push": {"listen": "connection"}} if self.speaks else {}
        return preset | {"connection": self.connection | self.secrets} | push


class NotFound(DlmsMqttError):
    """Nobody can be asked, and what is known does not do."""


@dataclass(slots=True)
class Search:
    """``given``: the connection options of the command line, as they were written."""

    talk: Conversation
    given: dict[str, Any]
    preset: str
    state: Path
    limits: Limits
    fresh: bool = False

    def run(self) -> Draft:
        """The meter, or NotFound. ConfigError, ConnectFailed."""
        if not set(CALLED_LINES) & set(self.given):
            self.given |= _line_of(self._port())
        if self.preset and preset_only_speaks(self.preset):
            return self._listened_to({name: self.given[name] for name in self.given if name not in SECRET_KEYS})
        while True:
            found = self._found()
            self._tell(found)
            if SPEAKS & set(found.names) and not found.complete:
                return self._listened_to(dict(found.json()["connection"]))
            if found.complete and ("no-energy" not in found.names or not self._another_client(found)):
                return self._polled(found)
            if not found.complete and not self._once_more(found):
                raise NotFound(self.talk.text(words.NOTHING_WRITTEN))

    # -- the line -----------------------------------------------------------------------------------------------------

    def _port(self) -> str:
        ports = list_ports() if self.talk.asks else []
        if self.talk.asks and not ports:
            self.talk.say(words.NO_PORTS)
        if ports:
            rows = [(number, port.name, port.description) for number, port in enumerate(ports, 1)]
            say(table(rows, ("", "PORT", "")))

        def parse(text: str) -> str:
            named = text.isdecimal() and 1 <= int(text) <= len(ports)
            name = ports[int(text) - 1].name if named else text
            parse_options(_line_of(name))
            return name

        port: str = self.talk.ask(words.PORT, "--serial or --tcp", None, "1" if len(ports) == 1 else None, parse)
        return port

    # -- the search ---------------------------------------------------------------------------------------------------

    def _found(self) -> Found:
        line = next(str(self.given[name]) for name in CALLED_LINES if name in self.given)
        self.talk.say(words.SEARCHING, line=line)
        return asyncio.run(self._find())

    async def _find(self) -> Found:
        with Store(self.state) as store, Progress("setup") as progress:
            if self.fresh:
                forget(store)
                self.fresh = False
            return await find(
                self.given,
                store=store,
                progress=lambda done, total, stage: progress.update(int(done), int(total), stage),
                limits=self.limits,
                news=lambda news: progress.news(self._early(news)),
            )

    def _early(self, news: News) -> str:
        """What is known before the end, in the language of the conversation."""
        going_on = f" {self.talk.text(GOING_ON, seconds=f'{news.seconds:.0f}')}" if news.seconds else ""
        return self._explained(news.case.sentence, news.case.step) + going_on

    def _explained(self, sentence: str, step: str) -> str:
        """What a case is and what to try, in the language of the conversation."""
        text = self.talk.plain(sentence)
        return f"{text[:1].upper()}{text[1:]}. {self.talk.plain(step) if step else ''}".rstrip()

    def _tell(self, found: Found) -> None:
        """The verdict, in the language of the conversation."""
        if found.complete:
            connection = found.connection
            self.talk.say(words.FOUND, client=connection.get("client", 16), server=connection.get("server", 1))
            if name := found.learned.get("logical_device_name") or found.learned.get("serial_number"):
                self.talk.say(words.NAMED, name=name)
        for case in REMARKS if found.complete else CAUSES:
            if case.name in found.names and case.name != "no-energy":
                say(f"- {self._explained(case.sentence, '' if case.name in SPEAKS else case.step)}")

    def _once_more(self, found: Found) -> bool:
        """After a search that has not come to an end: a secret, or something that the user can mend at the meter."""
        if found.found and self.talk.asks:
            return self._ask_secret(found)
        return self.talk.confirm(words.AGAIN, default=True, unattended=False)

    def _another_client(self, found: Found) -> bool:
        """A client that is shown no energy is no success; True where another search is worth it."""
        client, count = found.connection.get("client", 16), found.learned.get("objects", 0)
        self.talk.say(words.NO_ENERGY, client=client, count=count)
        asking = _asking(found)
        if not asking:
            self.talk.say(words.NOBODY_ASKS)
        elif self.talk.confirm(words.HAVE_SECRET, default=True, unattended=False):
            return self._ask_secret(found)
        if self.talk.confirm(words.WITHOUT_ENERGY, default=False, unattended=False):
            return False
        raise NotFound(
            self.talk.text(words.NOTHING_WRITTEN),
            hint=f"Give --client {asking[0]} and --password." if asking else "Give --client.",
        )

    # -- what only the user knows -------------------------------------------------------------------------------------

    def _ask_secret(self, found: Found) -> bool:
        asking = _asking(found)
        if asking:
            self.talk.say(words.ASKING, clients=", ".join(map(str, asking)))
        default = str(self.given.get("client") or (asking[0] if asking else ""))
        self.given["client"] = self.talk.ask(words.CLIENT, "--client", None, default or None, _client)
        kinds = [(kind, self.talk.text(text)) for kind, text in _KINDS]
        kind = self.talk.choose(words.KIND, kinds, "keys" if "keys" in found.names else "password")
        self.given = {name: value for name, value in self.given.items() if name not in ACCESS_SECRETS}
        self.given |= self._password() if kind == "password" else self._keys()
        return True

    def _password(self) -> dict[str, str]:
        text: str = self.talk.ask_secret(words.PASSWORD, _password)
        if text.partition(":")[0] in SECRET_KINDS:
            return {"password": text}
        doubtful = len(text) >= 16 and len(text) % 2 == 0 and all(letter in _HEX for letter in text)
        kinds = [("text", self.talk.text(words.AS_TEXT)), ("hex", self.talk.text(words.AS_HEX))]
        kind = self.talk.choose(words.TEXT_OR_HEX, kinds, "hex") if doubtful else "text"
        return {"password": f"{kind}:{text}"}

    def _keys(self) -> dict[str, str]:
        encryption = self.talk.ask_secret(words.ENCRYPTION_KEY, _key)
        authentication = self.talk.ask_secret(words.AUTHENTICATION_KEY, _key, needed=False)
        both = {"encryption_key": encryption, "authentication_key": authentication}
        return both if authentication else {"encryption_key": encryption, "security": "encryption"}

    # -- what comes of it ---------------------------------------------------------------------------------------------

    def _secrets(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.given.items() if name in SECRET_KEYS}

    def _polled(self, found: Found) -> Draft:
        connection = dict(found.json()["connection"])
        return Draft(connection, self._secrets(), self.preset or _GENERIC, learned=found.learned)

    def _listened_to(self, connection: dict[str, Any]) -> Draft:
        self.talk.say(words.SPEAKS)
        preset = self.preset or self.talk.choose(words.FAMILY, self._families(), _GENERIC)
        return Draft(connection, self._secrets(), preset, speaks=True)

    def _families(self) -> list[tuple[str, str]]:
        names = [name for name in preset_names() if preset_only_speaks(name)]
        rows = [(name, f"{name}: {load_preset(name).get('name') or name}") for name in names]
        return [*rows, (_GENERIC, self.talk.text(words.FAMILY_UNKNOWN))]

    def ask_push_key(self, draft: Draft) -> bool:
        """What came is ciphered: the key, if the user has it."""
        encryption = self.talk.ask_secret(words.ENCRYPTION_KEY, _key, needed=False) if self.talk.asks else ""
        if not encryption:
            return False
        authentication = self.talk.ask_secret(words.AUTHENTICATION_KEY, _key, needed=False)
        kept = {name: value for name, value in draft.secrets.items() if name not in ACCESS_SECRETS}
        given = {"encryption_key": encryption, "authentication_key": authentication}
        draft.secrets = kept | {name: value for name, value in given.items() if value}
        draft.connection |= {} if authentication else {"security": "encryption", "accept_unauthenticated": True}
        return True


_KINDS = (("password", words.KIND_PASSWORD), ("keys", words.KIND_KEYS))


def _line_of(text: str) -> dict[str, str]:
    """``HOST:PORT`` is TCP; a device or URL a serial port."""
    return {"tcp": text} if ":" in text and "/" not in text else key_apart({"serial": text})


def _asking(found: Found) -> list[int]:
    here = found.connection.get("client") if found.complete else None
    return [client for client in found.learned.get("clients_with_password", ()) if client != here]


def _client(text: str) -> str:
    parse_options({"client": text})
    return text


def _password(text: str) -> str:
    """Also ``text:...``, ``hex:...``, ``env:...`` or ``file:...``."""
    if text.partition(":")[0] in SECRET_KINDS:
        parse_options({"password": text})
    return text


def _key(text: str) -> str:
    """Keys are told in hexadecimal digits, with blanks or without."""
    key = text if text.partition(":")[0] in SECRET_KINDS else f"hex:{''.join(text.split())}"
    octets = parse_options({"encryption_key": key})["encryption_key"]
    if len(octets) not in (16, 32):
        raise ConfigError(f"a key has 16 octets (32 digits), this has {len(octets)}")
    return key
