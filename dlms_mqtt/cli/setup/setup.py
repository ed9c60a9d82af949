"""``dlms-mqtt setup``: port, meter, secrets, broker, values, configuration, service; each answer may be an option.

Nothing is written before the last question, so that whoever breaks off leaves everything as it was.
"""

from __future__ import annotations

import argparse
import os
import re
import unicodedata
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.kinds import ID, INTERVAL
from dlms_mqtt.bridge.config.load import STATE_FILE, Loaded, default_state_dir, load_config
from dlms_mqtt.bridge.run import run_bridge
from dlms_mqtt.cli.configuration import USUAL, add_config, usual_config
from dlms_mqtt.cli.options import add_option, given_options
from dlms_mqtt.cli.setup import words
from dlms_mqtt.cli.setup.addition import SECRETS, Addition
from dlms_mqtt.cli.setup.broker import ask_broker, known_broker
from dlms_mqtt.cli.setup.conversation import Conversation, language_of, on_terminal, parse_with
from dlms_mqtt.cli.setup.search import NotFound, Search
from dlms_mqtt.cli.setup.service import has_systemd, install
from dlms_mqtt.cli.setup.values import show_values
from dlms_mqtt.client.option_values import parse_seconds
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.languages.texts import languages
from dlms_mqtt.meter.finder import Limits
from dlms_mqtt.meter.presets.preset import preset_connection

EXAMPLE = "--serial /dev/ttyUSB0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``setup``: an option for every question."""
    add_config(parser)
    answers = parser.add_argument_group("answers (what is not given is asked)")
    answers.add_argument("--preset", metavar="NAME", default="", help="meter family, see dlms-mqtt presets")
    answers.add_argument("--name", metavar="TEXT", help="name of the meter")
    answers.add_argument("--id", metavar="ID", help="its id in topics")
    answers.add_argument("--read", choices=("core", "all"), metavar="core|all", help="what is read")
    answers.add_argument("--every", metavar="TIME", help="how often, as in 30s")
    answers.add_argument("--broker", metavar="HOST[:PORT]", help="MQTT broker; mqtts://HOST for TLS")
    answers.add_argument("--broker-user", metavar="NAME", help="user name at the broker")
    answers.add_argument("--broker-password", metavar="SECRET", help="its password: text:, hex:, env: or file:")
    answers.add_argument("--broker-ca", metavar="FILE", help="certificate authority of the broker")
    answers.add_argument(
        "--run", dest="start", action=argparse.BooleanOptionalAction, help="start the bridge at the end, or do not"
    )
    answers.add_argument("--install", action=argparse.BooleanOptionalAction, help="install the service, or do not")
    answers.add_argument("--yes", action="store_true", help="ask nothing: options and defaults are the answers")
    parser.add_argument("--service", action="store_true", help="print the unit of systemd and install it, nothing else")
    parser.add_argument(
        "--language", choices=languages("setup"), metavar="|".join(languages("setup")), help="language of the questions"
    )
    parser.add_argument("--seconds", default="600", metavar="S", help="time limit of a search (default 600)")
    parser.add_argument("--fresh", action="store_true", help="forget what was found last time on this line")
    parser.add_argument("--state", metavar="FILE", type=Path, help="state file (counters, what was found)")
    known = parser.add_argument_group("what you know of the meter (everything else is found out)")
    for row in fields(ConnectionSettings):
        add_option(known, row)


def run(args: argparse.Namespace) -> int:
    """The conversation; 1 when nothing was set up."""
    asks = on_terminal() and not args.yes
    talk = Conversation(args.language or language_of(os.environ), asks=asks)
    file = (args.config or usual_config() or USUAL[0]).absolute()
    if args.service:
        return _service(talk, file, args)
    setup = _Setup(talk, args, Addition.to(file))
    setup.prepare()
    section = setup.meter()
    mqtt = setup.broker()
    if not setup.write(section, mqtt):
        return 1
    return setup.start()


def _service(talk: Conversation, file: Path, args: argparse.Namespace) -> int:
    loaded = load_config(file, preset_connection, os.environ)
    state = args.state or loaded.config.bridge.state_dir / STATE_FILE
    install(talk, file, state, args.install if args.install is not None else args.yes or None)
    return 0


@dataclass(slots=True)
class _Setup:
    talk: Conversation
    args: argparse.Namespace
    addition: Addition
    loaded: Loaded | None = None

    @property
    def file(self) -> Path:
        return self.addition.file

    @property
    def state(self) -> Path:
        """The bridge's own: counters and lists that are learned here go on there."""
        place = self.loaded.config.bridge.state_dir if self.loaded else default_state_dir(os.environ)
        return self.args.state or place / STATE_FILE

    def prepare(self) -> None:
        """Every mistake that can be told is told before anything is asked. ConfigError."""
        if self.addition.old.strip():
            self.loaded = load_config(self.file, preset_connection, os.environ)
        if self.args.id is not None:
            self._new_id(self.args.id)
        if self.talk.asks:
            self.talk.say(words.WELCOME)
        self.talk.say(words.ADDED if self.loaded else words.NEW_FILE, file=self.file)

    # -- the meter ----------------------------------------------------------------------------------------------------

    def meter(self) -> dict[str, Any]:
        """Its id and section, with secrets as they are; values were seen. NotFound."""
        limits = Limits(seconds=parse_seconds(self.args.seconds))
        given: dict[str, Any] = dict(given_options(self.args))
        search = Search(self.talk, given, self.args.preset, self.state, limits, self.args.fresh)
        draft = search.run()
        choices = {} if draft.speaks else self._what_to_read()
        section = draft.section() | choices
        seen = show_values(self.talk, search, draft, section, patience=min(limits.seconds, 90.0))
        if not self.talk.confirm(words.VALUES_RIGHT, default=seen, unattended=seen):
            raise NotFound(self.talk.text(words.NOTHING_WRITTEN))
        name, meter_id = self._names()
        return {"id": meter_id, "meter": {"name": name} | draft.section() | choices, "secrets": draft.secrets}

    def _what_to_read(self) -> dict[str, Any]:
        sets = [(kind, self.talk.text(text)) for kind, text in (("core", words.CORE), ("all", words.EVERYTHING))]
        chosen = self.args.read or self.talk.choose(words.WHAT, sets, "core")
        every = self.talk.ask(words.EVERY, "--every", self.args.every, "30s", _interval)
        return {"every": every} | ({} if chosen == "core" else {"read": chosen})

    def _names(self) -> tuple[str, str]:
        name = self.talk.ask(words.METER_NAME, "--name", self.args.name, self.talk.text(words.DEFAULT_NAME))
        default = self._free_id(name)
        return name, self.talk.ask(words.METER_ID, "--id", self.args.id, default, self._new_id)

    def _ids(self) -> set[str]:
        return set(self.loaded.config.meters) if self.loaded else set()

    def _free_id(self, name: str) -> str:
        letters = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss")).encode("ascii", "ignore").decode()
        base = re.sub(r"[^a-z0-9]+", "-", letters).strip("-") or "meter"
        numbered = (f"{base}-{number}" for number in range(2, 10_000))
        return base if base not in self._ids() else next(one for one in numbered if one not in self._ids())

    def _new_id(self, text: str) -> str:
        meter_id: str = parse_with(ID.convert)(text)
        if meter_id in self._ids():
            raise ConfigError(self.talk.text(words.ID_TAKEN, id=meter_id))
        return meter_id

    # -- the broker ---------------------------------------------------------------------------------------------------

    def broker(self) -> dict[str, Any] | None:
        """The section to write; None where the configuration has one."""
        if self.loaded is not None and re.search(r"(?m)^mqtt:", self.addition.old):
            known_broker(self.talk, self.loaded.config.mqtt)
            return None
        return ask_broker(self.talk, self.args)

    # -- the end ------------------------------------------------------------------------------------------------------

    def write(self, found: dict[str, Any], mqtt: dict[str, Any] | None) -> bool:
        """Both files, if the user agrees."""
        meter, meter_id = found["meter"], found["id"]
        names = {key: f"{meter_id.replace('-', '_')}_{key}" for key in found["secrets"]}
        refs = {key: self.addition.keep_secret(names[key], value) for key, value in found["secrets"].items()}
        meter = meter | {"connection": meter["connection"] | refs}
        if mqtt is not None and "password" in mqtt:
            mqtt = mqtt | {"password": self.addition.keep_secret("mqtt_password", mqtt["password"])}
        text = self.addition.new_text(meter_id, meter, mqtt)
        if not self.talk.confirm(words.WRITE, default=True, unattended=True, file=self.file):
            self.talk.say(words.NOTHING_WRITTEN)
            return False
        self.addition.write(text)
        self.talk.say(words.WRITTEN, file=self.file)
        if self.addition.secrets:
            self.talk.say(words.SECRETS_IN, file=self.file.with_name(SECRETS))
        load_config(self.file, preset_connection, os.environ)  # what was written is what the bridge will read
        return True

    def start(self) -> int:
        """As a service, or here."""
        wanted = self.args.install
        served = (has_systemd() or wanted) and self.talk.confirm(words.SERVICE, wanted, default=True, unattended=False)
        if served and install(self.talk, self.file, self.state, wanted):
            return 0
        if self.talk.confirm(words.RUN, self.args.start, default=True, unattended=False):
            run_bridge(self.file, self.args.verbose)
        else:
            self.talk.say(words.NEXT, file=self.file)
        return 0


def _interval(text: str) -> str:
    parse_with(INTERVAL.convert)(text)
    return text
