"""``dlms-mqtt decode HEX|FILE|-``: explains captured bytes, with and without keys."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlms_mqtt.cli.files import content, whole
from dlms_mqtt.cli.output import Progress, note, print_json, say, table
from dlms_mqtt.cli.print_values import shown
from dlms_mqtt.client.option_values import parse_hex, parse_secret
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.explain.capture_text import Piece, pieces_in, pieces_of
from dlms_mqtt.meter.explain.conversation import conversation
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.meter.local_zone import system_zone
from dlms_mqtt.meter.readings import Quality
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys

_MOST = 32 << 20  # octets of a capture; its explanation takes ten times the memory
KEY_OPTIONS = ("encryption", "authentication", "dedicated", "broadcast")

EXAMPLE = "capture.txt --encryption-key env:KEY --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``decode``."""
    parser.add_argument(
        "input", metavar="HEX|FILE|-", nargs="+", help="octets in hex, a file (bytes, a log, a dump), or - for input"
    )
    for kind in KEY_OPTIONS:
        parser.add_argument(f"--{kind}-key", metavar="SECRET", help=f"{kind} key: text:, hex:, env: or file:")
    parser.add_argument("--system-title", metavar="HEX", help="of the sender, where its messages do not tell it")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """Explain; 1 when nothing could be made of the bytes."""
    title = parse_hex(8)(args.system_title) if args.system_title else b""
    with Progress("decode") as bar:
        document = explain(_pieces(args.input), keys_of(args), title, progress=bar.update, zone=system_zone(os.environ))
    if explained := conversation(document["messages"]):
        document["conversation"] = explained
    if args.json:
        print_json(document)
    else:
        _print(document)
    if document["messages"] or document.get("frames"):
        return 0
    note("dlms-mqtt: no frame and no message is in these octets. Check that they are whole, and hexadecimal.")
    return 1


def keys_of(args: argparse.Namespace) -> Keys | None:
    """The keys that were given. ConfigError."""
    given = {kind: getattr(args, f"{kind}_key") for kind in KEY_OPTIONS}
    secrets = {kind: _secret(kind, text) for kind, text in given.items() if text}
    for kind, secret in secrets.items():
        if len(secret) not in (16, 32):
            raise ConfigError(
                f"the {kind} key has {len(secret)} octets; keys have 16 or 32", hint="Write hex:... for hex."
            )
    if secrets and "encryption" not in secrets:
        secrets["encryption"] = Secret()
    return Keys(**secrets) if secrets else None


def _secret(kind: str, text: str) -> Secret:
    try:
        return parse_secret(text)
    except ConfigError as error:
        raise ConfigError(f"--{kind}-key: {error.message}", hint=error.hint) from None


def _pieces(words: list[str]) -> list[Piece]:
    """The octets that were meant: standard input, a file (also a pipe, as of ``<(...)``), or the words themselves."""
    text = " ".join(words)
    if text == "-":
        return pieces_of(whole(sys.stdin.buffer, _MOST))
    if len(words) == 1 and _exists(words[0]):
        return pieces_of(content(Path(words[0]), _MOST))
    pieces = pieces_in(text)
    if not pieces:
        raise ConfigError(
            "that is neither hexadecimal octets nor a file", hint="Write 7ea0..., a file name, or - for input."
        )
    return pieces


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):
        return False


def _print(document: dict[str, Any]) -> None:
    for message in document["messages"]:
        print_message(message)
    for frame in document.get("frames", ()):
        say(_arrow(frame) + _frame_text(frame))
    if document["rest"]:
        say(f"rest: {document['rest']}")
    if "conversation" in document:
        _print_conversation(document["conversation"])
    for error in document["errors"]:
        say(f"error: {error['message']}" + (f" ({error['hint']})" if error["hint"] else ""))


def print_message(message: dict[str, Any]) -> None:
    """One message for people."""
    say(f"{_arrow(message)}{message['apdu']['name']} ({message['framing']})")
    for frame in message["frames"]:
        say("  " + _frame_text(frame))
    if ciphering := message.get("ciphering"):
        say("  " + _ciphering_text(ciphering))
    for name, value in message["apdu"].items():
        if name not in ("name", "data") and value is not None:
            say(f"  {name}: {value}")
    readings = message.get("readings", ())
    if readings:
        print_readings(readings)
    shown = {reading["obis"] for reading in readings}
    values = [value for value in message.get("values", ()) if value.get("obis") not in shown]
    if values:
        rows = [
            (v.get("obis", f"#{v.get('index')}"), v.get("name", ""), _value_text(v), v.get("unit", "")) for v in values
        ]
        say("\n".join("  " + line for line in table(rows, ("OBIS", "NAME", "VALUE", "UNIT"), right=(2,)).splitlines()))
    if "tree" in message and not readings and not any(map(_value_text, values)):
        say(f"  value: {message['tree']}")


def print_readings(readings: Sequence[dict[str, Any]]) -> None:
    """What a push says, as it is published."""
    rows = [(r["obis"], r["key"], shown(r["value"]), r["unit"], _doubt(r["quality"])) for r in readings]
    lines = table(rows, ("OBIS", "KEY", "VALUE", "UNIT", ""), right=(2,)).splitlines()
    say("\n".join("  " + line for line in lines))


def _doubt(quality: str) -> str:
    return "" if quality == Quality.GOOD else quality


def _print_conversation(whole: dict[str, Any]) -> None:
    """The whole capture in a few lines: who, what was agreed, counters, and every value once."""
    who = f"client {whole['client']}, server {whole['server']}: " if "client" in whole else ""
    say(f"\nconversation: {who}{whole['requests']} requests, {whole['answers']} answers")
    for found in whole["associations"]:
        parts = [f"{name.replace('_', ' ')} {value}" for name, value in found.items() if isinstance(value, str | int)]
        say(f"  association: {'; '.join(parts)}" + ("" if found["result"] else "; no answer"))
    for row in whole["counters"]:
        still = f", {row['not_risen']} NOT RISEN" if row["not_risen"] else ""
        title = f" ({row['system_title']})" if row["system_title"] else ""
        counters = f"{row['first']} to {row['last']} in {row['messages']} messages"
        say(f"  counters of {row['sender']}{title}: {counters}{still}")
    rows = [
        (v["obis"], v["attribute"], v.get("name", ""), _value_text(v) or f"({v['type']})", v.get("unit", ""))
        for v in whole["values"]
    ]
    if rows:
        lines = table(rows, ("OBIS", "ATTR", "NAME", "VALUE", "UNIT"), right=(3,)).splitlines()
        say("\n".join("  " + line for line in lines))


def _arrow(part: dict[str, Any]) -> str:
    """Which way it went, where the capture says so."""
    return {"sent": "> ", "received": "< "}.get(part.get("direction", ""), "")


def _frame_text(frame: dict[str, Any]) -> str:
    addresses = f" {frame['source']} > {frame['destination']}" if frame["source"] else ""
    verdict = "" if frame["valid"] else " NOT VALID"
    return f"frame {frame['type']}{addresses}{verdict}" + (f": {frame['reason']}" if frame.get("reason") else "")


_VERIFIED = {True: "tag verified", False: "TAG WRONG", None: "not verified"}


def _ciphering_text(ciphering: dict[str, Any]) -> str:
    parts = [word for word in ("authenticated", "encrypted") if ciphering[word]]
    return (
        f"ciphered (tag {ciphering['tag']}, suite {ciphering['suite']}): {', '.join(parts) or 'nothing'}; "
        f"system title {ciphering['system_title'] or 'not told'}, counter {ciphering['invocation_counter']}, "
        f"{_VERIFIED[ciphering['verified']]}"
    )


def _value_text(value: dict[str, Any]) -> str:
    for key in ("value", "text", "datetime", "raw"):
        if value.get(key) is not None:
            return shown(value[key])
    return ""
