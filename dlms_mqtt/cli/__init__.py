"""The command line: one file per command, found through one table; only the chosen command is imported."""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from dlms_mqtt import __version__
from dlms_mqtt.cli.output import complain, note
from dlms_mqtt.cli.process import give_up_output, prepare
from dlms_mqtt.errors import ConfigError, DlmsMqttError

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
INTERRUPTED = 130

COMMANDS: dict[str, str] = {
    "run": "the bridge: meters into MQTT and Home Assistant",
    "demo": "bridge, simulated meter and broker in one process",
    "setup": "from nothing to a running bridge, in one conversation",
    "check": "validate a configuration; no meter is touched",
    "status": "how a running bridge does; exit status for Nagios and HEALTHCHECK",
    "alive": "is the bridge of this container alive (for HEALTHCHECK)",
    "service": "print the systemd unit, or a minimal configuration",
    "find": "find out how to talk to an unknown meter",
    "objects": "what the meter has: class, OBIS, name, access rights",
    "read": "read attributes",
    "write": "write an attribute and read it back",
    "invoke": "run a method",
    "profile": "load profile rows with names and units",
    "clock": "meter time, deviation, status and drift; --set sets it",
    "firmware": "image transfer, with progress; resumes",
    "listen": "print what meters push",
    "decode": "explain captured bytes",
    "simulate": "a simulated meter",
    "presets": "the meter families known",
    "counter": "show or raise a stored invocation counter",
    "dump": "save a replayable, anonymised capture of a session",
}
_WHAT = "Reads home electricity meters over DLMS/COSEM and puts them into MQTT and Home Assistant."
_STATUS = "Exit status: 0 done, 1 the meter or the line said no, 2 wrong usage or configuration."
_ROOMS = {
    "bridge": ("run", "demo", "check", "status", "alive", "service"),
    "setup": ("setup",),
    "tools": ("listen", "decode", "simulate", "presets"),
}  # the others: "meter"
STEPS = 15  # the level at which the client tells its steps (`client.line.opening.STEP`, which is imported late)
_HELP_ALL = "--help-all"
_UNTIL_INTERRUPTED = {"demo", "listen", "run", "simulate"}  # being interrupted is how these are done


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 the meter or the line said no, 2 wrong usage or configuration."""
    prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    try:
        status = _run(arguments, chosen)
        sys.stdout.flush()
    except DlmsMqttError as error:
        complain(error)
        return WRONG_USAGE if isinstance(error, ConfigError) else REFUSED
    except KeyboardInterrupt:
        return DONE if chosen in _UNTIL_INTERRUPTED else _interrupted()
    except BrokenPipeError:  # the reader of our output went away (`| head`)
        give_up_output()
        return DONE
    except UnicodeEncodeError:  # half characters of an argument; the error would show what it was
        note("dlms-mqtt: a text that was given is not UTF-8. Write it in UTF-8, or octets as hex:....")
        return WRONG_USAGE
    except OSError as error:
        give_up_output()
        note(f"dlms-mqtt: {error.filename or 'input or output failed'}: {error.strerror or error}.")
        return REFUSED
    return status


def _run(arguments: list[str], chosen: str | None) -> int:
    parser = _parser(chosen, everything=_HELP_ALL in arguments)
    if chosen is not None and chosen not in COMMANDS:
        near = difflib.get_close_matches(chosen, COMMANDS, 1)
        parser.error(f"there is no command '{chosen}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help(sys.stderr)
        return WRONG_USAGE
    _start_logging(args.verbose)
    return int(args.run(args))


def _interrupted() -> int:
    note("interrupted")
    return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence: the forty connection options are for ``--help``."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(
            WRONG_USAGE, f"{self.prog}: {message}{'' if message.endswith('?') else '.'} See `{self.prog} --help`.\n"
        )


def _parser(chosen: str | None, *, everything: bool = True) -> argparse.ArgumentParser:
    """All commands by name, and the arguments of the chosen one; without ``everything`` its help is the short one."""
    parser = _Parser(prog="dlms-mqtt", description=_WHAT, epilog=_STATUS)
    parser.add_argument("--version", action="version", version=f"dlms-mqtt {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, sentence in COMMANDS.items():
        command = commands.add_parser(name, help=sentence, description=sentence, allow_abbrev=False)
        command.add_argument("-v", "--verbose", action="count", default=0, help="-v: steps, -vv: bytes on the line")
        if name == chosen:
            module = importlib.import_module(module_of(name))
            module.add_arguments(command)
            _shorten(command, everything)
            command.usage = _usage(command)
            command.epilog = command.epilog or f"Example: dlms-mqtt {name} {module.EXAMPLE}".rstrip()
            command.set_defaults(run=module.run)
    return parser


def _shorten(command: argparse.ArgumentParser, everything: bool) -> None:
    """Of the options of a connection the help shows those that everyone needs; ``--help-all`` shows the rest."""
    rare = [action for action in command._actions if getattr(action, "rare", False)]
    if not rare:
        return
    command.add_argument(_HELP_ALL, action="help", help=f"this, and {len(rare)} options that few people need")
    for action in rare if not everything else ():
        action.help = argparse.SUPPRESS


def module_of(command: str) -> str:
    """The module of a command: ``add_arguments``, ``run`` and ``EXAMPLE`` stand there."""
    room = next((room for room, names in _ROOMS.items() if command in names), "meter")
    return f"dlms_mqtt.cli.{room}.{command}"


def _usage(command: argparse.ArgumentParser) -> str:
    """In one line; the options follow in the help."""
    words = [_argument(action) for action in command._actions if not action.option_strings]
    return " ".join([command.prog, "[options]", *words])


def _argument(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"+": f"{name}...", "*": f"[{name}...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _start_logging(verbose: int) -> None:
    logging.addLevelName(STEPS, "STEP")
    level = (logging.WARNING, STEPS, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr, force=True)
