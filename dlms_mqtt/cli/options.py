"""Connection options of every command that talks to a meter, made from the rows of ``ConnectionSettings``."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from dlms_mqtt.cli.configuration import usual_config
from dlms_mqtt.cli.output import Progress
from dlms_mqtt.client.settings import LINES, ConnectionSettings, implied, key_apart, parse_options
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.local_zone import system_zone, zone_of
from dlms_mqtt.times import parse_duration

_NO_LINE = {"serial": None, "tcp": None, "udp": None, "bind": "", "noise_psk": None}
_FLAGS = {"pre_established", "no_release", "accept_unauthenticated", "omit_system_title"}
_NEEDED = {"serial", "tcp", "client", "password"}  # what everyone needs, beside --config and --meter


def add_connection(parser: argparse.ArgumentParser) -> None:
    """``--config FILE --meter ID`` or one option per connection key; the texts are parsed later, by the same rows."""
    group = parser.add_argument_group("which meter")
    add_configuration(group, "take the connection from this configuration")
    group.add_argument("--preset", metavar="NAME", help="meter family: its connection options, where none are given")
    group.add_argument("--state", metavar="FILE", type=Path, help="state file (invocation counters, object lists)")
    for row in fields(ConnectionSettings):
        add_option(group, row)


def add_configuration(group: argparse._ArgumentGroup, sentence: str) -> None:
    """``--config FILE`` and ``--meter ID``."""
    group.add_argument("--config", metavar="FILE", type=Path, help=sentence)
    group.add_argument("--meter", metavar="ID", help="which meter of the configuration (not needed if there is one)")


def add_option(group: argparse._ArgumentGroup, row: Any) -> None:
    """One connection option, from its row."""
    name, sentence, default = f"--{row.name.replace('_', '-')}", row.metadata["help"].replace("%", "%%"), row.default
    action: Any
    if row.name in _FLAGS:
        action = group.add_argument(name, dest=row.name, help=sentence, action="store_const", const="true")
    else:
        choices = getattr(row.metadata["parse"], "schema", {}).get("enum")
        shown = "" if default in (None, "", b"", ()) else f" (default {default})"
        metavar = row.metadata["metavar"] or "|".join(choices or ("VALUE",))
        action = group.add_argument(name, dest=row.name, help=sentence + shown, metavar=metavar, choices=choices)
    action.rare = row.name not in _NEEDED  # for the short help


def option(args: argparse.Namespace, name: str, flag: str, parse: Callable[[Any], Any]) -> Any:
    """The value of an option of another kind, None where it was not given. ConfigError names the option."""
    text = getattr(args, name)
    try:
        return None if text is None else parse(text)
    except ConfigError as error:
        raise ConfigError(f"{flag}: {error.message}", hint=error.hint) from None


def seconds_option(args: argparse.Namespace, name: str = "seconds") -> float | None:
    """A duration that was given, with a unit or in seconds; None where it was not. ConfigError."""
    return option(args, name, f"--{name}", lambda text: parse_duration(text, bare=True))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Target:
    """The meter a command talks to: how to reach it, its time zone, where the state is kept."""

    settings: ConnectionSettings
    zone: tzinfo
    state: Path
    meter: Any = None
    """What a configuration says of the meter (``bridge.config.Meter``); None without one."""


def given_options(args: argparse.Namespace) -> dict[str, str]:
    """The connection options of the command line, as they were written."""
    given = {row.name: getattr(args, row.name, None) for row in fields(ConnectionSettings)}
    return key_apart({name: value for name, value in given.items() if value is not None})


def target(args: argparse.Namespace) -> Target:
    """The connection out of the options, over those of the configuration. ConfigError."""
    given = given_options(args)
    if args.config is None and not set(LINES) & set(given):
        args.config = usual_config()
    if args.config is not None:
        return configured(args, given)
    if not set(LINES) & set(given):
        raise ConfigError("which meter?", hint="Give --serial PORT, --tcp HOST:PORT or --config FILE.")
    if args.meter is not None:
        raise ConfigError("--meter names a meter of a configuration", hint="Give --config FILE too.")
    settings = ConnectionSettings(**implied(parse_options(given), _of_preset(args)))
    return Target(settings, system_zone(os.environ), _state(args))


def _of_preset(args: argparse.Namespace) -> Mapping[str, Any]:
    """What ``--preset`` puts below the options that are given. ConfigError."""
    name = getattr(args, "preset", None)
    if not name:
        return {}
    from dlms_mqtt.meter.presets.preset import preset_connection

    return preset_connection(name)


def configured(args: argparse.Namespace, given: dict[str, Any]) -> Target:
    """The meter of ``--config`` and ``--meter``; what is ``given`` goes before the file. ConfigError."""
    from dlms_mqtt.bridge.config.load import load_config
    from dlms_mqtt.meter.presets.preset import preset_connection

    loaded = load_config(args.config, preset_connection, os.environ)
    name = _pick(tuple(loaded.connections), args.meter, args.config)
    meter = loaded.config.meters[name]
    settings = loaded.connections[name]
    preset = _of_preset(args)
    if given or preset:  # a line on the command line replaces the one of the file
        kept = _NO_LINE if set(LINES) & set(given) else {}
        overrides = implied(parse_options(given), {"authentication": settings.authentication})
        settings = replace(settings, **(kept | {**preset, **overrides}))
    bridge = loaded.config.bridge
    zone = zone_of((meter.timezone, bridge.timezone), os.environ)
    state = getattr(args, "state", None) or bridge.state_dir / "state.sqlite"
    return Target(settings, zone, state, meter)


def _pick(meters: Sequence[str], wanted: str | None, file: Path) -> str:
    if wanted is None and len(meters) == 1:
        return meters[0]
    if wanted is None or wanted not in meters:
        question = f"{file} has no meter '{wanted}'" if wanted else f"which meter of {file}?"
        raise ConfigError(question, hint=f"--meter {'|'.join(meters) or '(it has none)'}")
    return wanted


def _state(args: argparse.Namespace) -> Path:
    from dlms_mqtt.client.state.state_file import default_path

    return args.state or default_path()


@asynccontextmanager
async def open_meter(where: Target) -> AsyncIterator[Any]:
    """The client, associated, with its store at hand (``client.store``)."""
    from dlms_mqtt.client.client import DlmsClient
    from dlms_mqtt.client.state.store import Store

    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store(where.state))
        with Progress(where.settings.line) as bar:  # a sign-on at 300 baud takes seconds
            bar.update(0, 0, "waiting for the meter to connect" if where.settings.bind else "connecting")
            client = await stack.enter_async_context(DlmsClient(where.settings, store=store))
        yield client, store
