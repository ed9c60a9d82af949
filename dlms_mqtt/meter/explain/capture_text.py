"""Octets out of the text that people have: logs of other programs, hex dumps, C arrays, Python literals, JSON, our own.

A log line is a prefix (time, module, direction) and octets. A long run of octets is taken wherever it stands; a short
one only at the end of a line whose prefix has the shape of a line with a long one, so that a number in a sentence is
no octet. What cannot be told for sure (a list of decimals that may be hexadecimal) is refused, never guessed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from dlms_mqtt.client.capture.marks import FORMAT, RECEIVED, SENT
from dlms_mqtt.errors import ConfigError

_LONG = 8  # octets of a run that is believed wherever it stands; the shortest HDLC frame has nine
_SEPARATORS = re.compile(r"[\s,;:|_\-]+")
_WRAPPING = re.compile(r"^[\s\[({]+|[\])};\s]+$")
_WORD = r"(?:0[xX][0-9A-Fa-f]{1,2}|(?:\\x[0-9A-Fa-f]{2})++|(?:[0-9A-Fa-f]{2})++)"
_RUN = re.compile(rf"(?<![\w.\\]){_WORD}(?:(?:[ \t]{{1,2}}|[ \t]?[,:;\-][ \t]?){_WORD})*(?![\w.\\])")
_TOKENS = re.compile(r"0[xX]([0-9A-Fa-f]{1,2})|\\x([0-9A-Fa-f]{2})|((?:[0-9A-Fa-f]{2})+)")
_ESCAPED = r"""\\(?:x[0-9A-Fa-f]{2}|[0-3]?[0-7]{1,2}|[\\'"abfnrtv])"""
_LITERAL = re.compile(rf"""\bb(?:'(?:[^'\\]|{_ESCAPED})*'|"(?:[^"\\]|{_ESCAPED})*")""")
_DECIMALS = re.compile(r"[\[{]\s*(\d{1,3}(?:\s*,\s*\d{1,3})+)\s*,?\s*[\]}]")
_REPR = re.compile(r"\b[A-Z]\w*\(\w+=")  # what our own -vv prints of a message: its octets stood in the line above
_DATE = re.compile(r"(?<![\w:])\d{4}[-/]\d{2}[-/]\d{2}(?:[T ]\d{2}:\d{2}:\d{2})?(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?")
_TIME = re.compile(r"(?<![\w:])\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?![\w:])")
_STAMPED = re.compile(rf"\s*(?:{_DATE.pattern}|{_TIME.pattern})\s+\S")
_OFFSET = re.compile(r"([ \t]*)(?:0x)?([0-9A-Fa-f]{4,8})(?::[ \t]?|[ \t]{1,3})(?=[0-9A-Fa-f]{2})")
_DUMPED = re.compile(r"[0-9A-Fa-f]{2}(?:[ \-]{0,2}[0-9A-Fa-f]{2})*")
_DUMP_LINE = 16  # octets of a line of a hex dump; what follows them is the same in characters
_INDENTED = 4  # spaces before what the other side said, in Wireshark's "Follow stream"
_DIRECTIONS = (
    (SENT, re.compile(r"(?i:\b(?:sent|sending|send|tx|write|wrote|out)\b)|>>>|[-=]>|(?<=\s)>(?=\s)")),
    (RECEIVED, re.compile(r"(?i:\b(?:received|receiving|recv|rx|read|in)\b)|<<<|<[-=]|(?<=\s)<(?=\s)")),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\r\n\x1b"))
_TELEGRAM = re.compile(r"^/[A-Za-z]{3}[0-9A-Za-z]", re.MULTILINE)
_DATA_LINE = re.compile(r"^\x02?[0-9A-Z:.*&-]+\.[0-9A-Z.*&-]+(?:\([^()]*\))+\s*$", re.MULTILINE)


class Piece(NamedTuple):
    """Octets that came or went together. ``direction``: ``>`` sent, ``<`` received, empty where the text says none."""

    octets: bytes
    direction: str = ""


def pieces_of(data: bytes) -> list[Piece]:
    """What a file or a pipe holds: the octets that its text shows, else its own octets. ConfigError: not sure which."""
    text = _text(data)
    if text is None or _TELEGRAM.search(text) or len(_DATA_LINE.findall(text)) > 1:
        return [Piece(data)]
    return pieces_in(text) or [Piece(data)]


def pieces_in(text: str) -> list[Piece]:
    """The octets that are in a text, in order, joined where one direction goes on; [] where there are none."""
    found = _own_capture(text) or _hex_dump(text) or _nothing_else(text) or list(_from_lines(text.splitlines()))
    return [
        Piece(b"".join(piece.octets for piece in group), direction)
        for direction, group in groupby(found, key=lambda piece: piece.direction)
    ]


def _text(data: bytes) -> str | None:
    """As text, where it is one: octets of a line are full of control characters."""
    text = data.decode("utf-8", "replace")
    odd = len(data) - len(data.translate(None, _CONTROLS)) + text.count("\ufffd")
    return text if odd * 50 <= len(text) else None


def _own_capture(text: str) -> list[Piece]:
    """A file of ``dlms-mqtt dump``: its frames, or its messages in plain where the session was ciphered."""
    if FORMAT not in text[:200]:
        return []
    import yaml  # only here: it takes its time on a small machine

    try:
        document: Any = yaml.safe_load(text)
        frames = [Piece(bytes.fromhex(octets), direction) for _, direction, octets in document.get("frames") or ()]
        return frames or [
            Piece(bytes.fromhex(octets), RECEIVED if place else SENT)
            for row in document["exchanges"]
            for place, octets in enumerate(row)
        ]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _hex_dump(text: str) -> list[Piece]:
    """Lines of offset, sixteen octets and often their characters; each direction counts its own offsets."""
    lines = [line for line in text.splitlines() if line.strip()]
    expected: dict[bool, int] = {}
    found = list[Piece]()
    for line in lines:
        start = _OFFSET.match(line)
        octets = _DUMPED.match(line, start.end()) if start else None
        if start is None or octets is None:
            return []
        other = len(start[1].expandtabs()) >= _INDENTED
        offset, dumped = int(start[2], 16), bytes.fromhex(octets[0].replace("-", " "))[:_DUMP_LINE]
        if offset not in (0, expected.get(other, 0)):
            return []
        expected[other] = offset + len(dumped)
        found.append(Piece(dumped, RECEIVED if other else SENT))
    return found if len(expected) > 1 else [Piece(piece.octets) for piece in found]


def _nothing_else(text: str) -> list[Piece]:
    """A text of octets alone, in whatever spelling. ConfigError where decimal and hexadecimal cannot be told apart."""
    if all(_STAMPED.match(line) for line in text.splitlines()):
        return []
    tokens = [token for token in _SEPARATORS.split(_WRAPPING.sub("", text)) if token]
    octets = _octets_of(tokens)
    return [Piece(octets)] if octets else []


def _octets_of(tokens: list[str]) -> bytes:
    """Octets of words that are nothing else; b"" where one is something else."""
    prefixed = [token for token in tokens if re.fullmatch(r"(?:0[xX]|\\x)[0-9A-Fa-f]{1,2}", token)]
    if prefixed and len(prefixed) == len(tokens):
        return bytes(int(token[2:], 16) for token in tokens)
    if all(re.fullmatch(r"\d{1,3}", token) for token in tokens) and any(len(token) != 2 for token in tokens):
        return _decimal(tokens)
    if len(tokens) > 1 and all(re.fullmatch(r"[0-9A-Fa-f]{1,2}", token) for token in tokens):
        return bytes(int(token, 16) for token in tokens)
    joined = "".join(token.removeprefix("0x").removeprefix("0X") for token in tokens)
    return bytes.fromhex(joined) if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", joined) else b""


def _decimal(tokens: list[str]) -> bytes:
    """A list of decimals, sure by a number that no two hexadecimal digits write. ConfigError."""
    numbers = [int(token) for token in tokens]
    if max(numbers, default=0) < 100 or max(numbers) > 255:
        if len(numbers) <= 1:
            return b""
        raise ConfigError(
            "these numbers may be decimal or hexadecimal, or are no octets",
            hint="Write octets as two hexadecimal digits each, as in 7E A0 1E, or with 0x before each.",
        )
    return bytes(numbers)


# -- logs ------------------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    shape: str  # the prefix with its numbers left out
    octets: bytes
    direction: str
    ends: bool  # nothing but brackets and quotes follows


def _from_lines(lines: Iterable[str]) -> Iterator[Piece]:
    found = [read for line in lines if (read := _line(line)) is not None]
    shapes = {line.shape for line in found if len(line.octets) >= _LONG}
    for line in found:
        if len(line.octets) >= _LONG or (line.ends and line.shape in shapes):
            yield Piece(line.octets, line.direction)


def _line(line: str) -> _Line | None:
    printed = _REPR.search(line)
    line = line[: printed.start()] if printed else line
    literals = list(_LITERAL.finditer(line))
    if literals:
        prefix = line[: literals[0].start()]
        return _Line(_shape(prefix), b"".join(map(_literal, literals)), _direction(prefix), ends=True)
    if decimals := _DECIMALS.search(line):
        octets = _octets_of(_SEPARATORS.split(decimals[1]))
        return _Line(_shape(line[: decimals.start()]), octets, _direction(line[: decimals.start()]), ends=True)
    return _run(_without_times(line))


def _run(line: str) -> _Line | None:
    runs = [(_run_octets(match[0]), match) for match in _RUN.finditer(line)]
    octets, match = max(runs, key=lambda run: len(run[0]), default=(b"", None))
    if match is None or not octets:
        return None
    prefix, rest = line[: match.start()], line[match.end() :]
    return _Line(_shape(prefix), octets, _direction(prefix), ends=not re.sub(r"[\s\"'\])}|,;.]", "", rest))


def _run_octets(text: str) -> bytes:
    return bytes.fromhex("".join((a or b or c).rjust(2, "0") for a, b, c in _TOKENS.findall(text)))


def _literal(match: re.Match[str]) -> bytes:
    try:
        return bytes(ast.literal_eval(match[0]))
    except (SyntaxError, ValueError):
        return b""


def _without_times(line: str) -> str:
    """With the time stamps before the octets made unreadable: 21:14:11 could be three octets."""
    line = _DATE.sub("@", line, count=1)
    alone = re.fullmatch(r"[0-9A-Fa-f:\s]*", line) and not re.search(r"\s[0-9A-Fa-f]{2}", line.strip())
    return line if alone else _TIME.sub("@", line)


def _shape(prefix: str) -> str:
    return re.sub(r"\d+", "#", prefix).strip()


def _direction(prefix: str) -> str:
    return next((direction for direction, words in _DIRECTIONS if words.search(f" {prefix} ")), "")
