"""Octets out of logs, dumps, literals and lists: what people paste into ``decode``; what is not sure is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.capture.marks import RECEIVED, SENT
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.explain.capture_text import Piece, pieces_in, pieces_of
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.meter.json_text import dumps
from tests.frames_data import Entry, entries, entry_id

CAPTURES = Path(__file__).parents[2] / "captures"
ANSWER = bytes.fromhex("7ea01e410352054fe6e700c4018100090c07e60810ff0f211bff800000c71a7e")
QUESTION = bytes.fromhex("7ea0070341935a647e")

# What of each capture must be found: names of messages or frames, or a number.
WANTED = {
    "u9n95": ("UA", "FRMR"),
    "amsreader988": ("368",),
    "esphome16942": ("7136726",),
    "smartmeter-datacollector74": ("21040168",),
    "esphome-uart": ("get-response",),
    "gxdlmsdirector": ("SNRM", "get-response"),
    "c-array": ("get-response",),
    "tasmota": ("get-response",),
    "tasmota-json": ("get-response",),
    "hexdump": ("get-response",),
    "own-vv": ("get-request", "get-response", "1234567"),
}


def test_every_capture_has_its_row() -> None:
    assert {file.stem for file in CAPTURES.glob("*.txt")} == set(WANTED)


@pytest.mark.parametrize("name", WANTED)
def test_captures(name: str) -> None:
    document = explain(pieces_of((CAPTURES / f"{name}.txt").read_bytes()))
    text = dumps(document)
    assert [wanted for wanted in WANTED[name] if wanted not in text] == []
    assert document["errors"] == []


def pairs(octets: bytes, before: str = "", between: str = " ") -> str:
    return between.join(f"{before}{octet:02x}" for octet in octets)


def dumped(octets: bytes, indent: str = "", characters: bool = True, start: int = 0) -> str:
    rows = [(at, octets[at : at + 16]) for at in range(0, len(octets), 16)]
    text = [bytes(o if 32 <= o < 127 else 46 for o in row).decode() for _, row in rows]
    return "\n".join(
        f"{indent}{start + at:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}" + (f"  |{shown}|" if characters else "")
        for (at, row), shown in zip(rows, text, strict=True)
    )


def lines(octets: bytes, line: Callable[[int, str], str], size: int = 16, case: Callable[[str], str] = str) -> str:
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    return "\n".join(line(number, case(part.hex(" "))) for number, part in enumerate(parts))


SPELLINGS: dict[str, Callable[[bytes], str]] = {
    "one word": bytes.hex,
    "with 0x before the word": lambda octets: "0x" + octets.hex(),
    "pairs": pairs,
    "colons": lambda octets: pairs(octets, between=":"),
    "0x": lambda octets: pairs(octets, "0x", ", "),
    "C array": lambda octets: "{" + ", ".join(f"0x{o:X}" for o in octets) + "};",
    "C string": lambda octets: pairs(octets, "\\x", ""),
    "Python list": lambda octets: str(list(octets)),
    "Python bytes": repr,
    "Python bytearray": lambda octets: f"data = {bytearray(octets)!r}",
    "decimals": lambda octets: " ".join(map(str, octets)),
    "single digits": lambda octets: " ".join(f"{o:x}" for o in octets),
    "JSON": lambda octets: json.dumps({"t": 1711019598, "data": octets.hex().upper()}),
    "JSON list": lambda octets: json.dumps({"data": list(octets)}),
    "hexdump -C": dumped,
    "without characters": lambda octets: dumped(octets, characters=False),
    "xxd": lambda octets: "\n".join(
        f"{at:08x}: {octets[at : at + 16].hex(' ', 2)}  ..ABCD.." for at in range(0, len(octets), 16)
    ),
    "time before": lambda octets: lines(octets, lambda n, text: f"12:10:{n:02}.120 {text}"),
    "date and time before": lambda octets: lines(octets, lambda n, text: f"2024-03-21 12:13:{n:02} {text}"),
    "ISO 8601 before": lambda octets: lines(octets, lambda n, text: f"2024-03-21T12:13:{n:02}.5Z RX {text}"),
    "syslog before": lambda octets: lines(octets, lambda n, text: f"Nov  3 19:03:{n:02} pi vz[413]: {text}"),
    "brackets and module": lambda octets: lines(
        octets, lambda n, text: f"[21:14:{n:02}][D][uart:114]: <<< {text.replace(' ', ':').upper()}"
    ),
    "a level": lambda octets: lines(octets, lambda n, text: f"(V) {text}", case=str.upper),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings(name: str) -> None:
    assert b"".join(piece.octets for piece in pieces_in(SPELLINGS[name](ANSWER))) == ANSWER


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("TX: {}", "RX: {}"),
        ("16.41.34\tSent\t{}", "16.41.34\tReceived\t{}"),
        ("DEBUG /dev/ttyUSB0 > {}", "DEBUG /dev/ttyUSB0 < {}"),
        (">>> {}", "<<< {}"),
        ("->{}", "<-{}"),
        ("==> {}", "<== {}"),
        ("12:00:01 write {}", "12:00:01 read {}"),
    ],
)
def test_both_directions(sent: str, received: str) -> None:
    text = "\n".join((sent.format(pairs(QUESTION)), "nothing", received.format(pairs(ANSWER))))
    assert pieces_in(text) == [Piece(QUESTION, ">"), Piece(ANSWER, "<")]
    document = explain(pieces_in(text))
    assert [message["direction"] for message in document["messages"]] == ["received"]
    assert [frame["direction"] for frame in document["frames"]] == ["sent"]


# One line of a log for each frame, as each program writes them; {0}: the octets, {1}: the seconds of a time of day.
LOGS: dict[str, tuple[str, str]] = {
    "GXDLMSDirector, its log": ("16.41.{1} 04.41.{1}.417\tSent\t{0}", "16.41.{1} 04.41.{1}.432\tReceived\t{0}"),
    "GXDLMSDirector, its trace": ("23:10:{1} Send request.\nTX: {0}", "23:10:{1}\nRX: {0}"),
    "GXDLMSDirector, its trace in English": ("11:10:{1} PM TX: {0}", "11:10:{1} PM RX: {0}"),
    "Gurux's clients": ("TX: 23:10:{1}\t{0}", "RX: 23:10:{1}\t{0}"),
    "Gurux's client in C#": ("TX:\t23:10:{1}\t{0}", "RX:\t23:10:{1}\t{0}"),
    "arrows": ("Reading index 124\n->{0}", "<-{0}\ncl_getData 0, 1"),
    "ours": ("DEBUG tcp://192.0.2.1:4059 > {0}", "DEBUG tcp://192.0.2.1:4059 < {0}"),
}


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("item", entries("conversations"), ids=entry_id)
def test_whole_associations_in_logs(name: str, item: Entry) -> None:
    """Of strangers' meters, one of them in fact a trace of GXDLMSDirector: what the frames alone say."""
    sent, received = LOGS[name]
    frames = [(side == "client", bytes.fromhex(octets)) for side, octets in item["frames"]]
    text = "\n".join(
        (sent if ours else received).format(octets.hex(" ").upper(), f"{number % 60:02}")
        for number, (ours, octets) in enumerate(frames)
    )
    alone = explain([Piece(octets, SENT if ours else RECEIVED) for ours, octets in frames])
    assert explain(pieces_of(text.encode())) == alone


def test_wiresharks_stream_is_indented_where_the_other_speaks() -> None:
    text = "\n".join((dumped(QUESTION), dumped(ANSWER, "    "), dumped(QUESTION, start=len(QUESTION))))
    assert pieces_in(text) == [Piece(QUESTION, ">"), Piece(ANSWER, "<"), Piece(QUESTION, ">")]


def test_a_dump_of_ours() -> None:
    text = (
        "format: dlms-mqtt-capture-1\nexchanges: [[c001c100, c401c10006]]\n"
        f"frames:\n- [0.1, '>', {QUESTION.hex()}]\n- [0.2, '<', '{ANSWER.hex()}']\n"
    )
    assert pieces_in(text) == [Piece(QUESTION, ">"), Piece(ANSWER, "<")]
    ciphered = "format: dlms-mqtt-capture-1\nexchanges:\n- [c001c100, c401c10006]\nframes: []\n"
    assert [piece.direction for piece in pieces_in(ciphered)] == [">", "<"]
    assert pieces_in("format: dlms-mqtt-capture-1\nexchanges: 7\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "Processing frame of size: 1039 bytes",
        "the meter may be added by ad hoc means",
        "[16:58:09.395][V][dlms_meter:157]: retry 10",
        "session 12 ended at 12:13:14",
        "DEBUG /dev/ttyUSB0 < Aare(user_information=b'\\x08\\x00\\x06_\\x1f\\x04\\x00\\x00\\x10\\x1d\\x04\\x00')",
        "",
    ],
)
def test_sentences_hold_no_octets(text: str) -> None:
    assert pieces_in(text) == []


@pytest.mark.parametrize("text", ["1 2 3", "12, 7, 30", "126, 160, 999", "[1, 2, 3]"])
def test_what_may_be_either_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="decimal or hexadecimal"):
        pieces_in(text)


@pytest.mark.parametrize("octets", [ANSWER, b"/KFM5KAIFA\r\n\r\n1-0:1.8.0(000123.456*kWh)\r\n!ABCD\r\n", b"\x00\x01"])
def test_octets_themselves(octets: bytes) -> None:
    assert pieces_of(octets) == [Piece(octets)]


@given(st.binary(min_size=9, max_size=200), st.sampled_from(["one word", "pairs", "0x", "Python bytes", "hexdump -C"]))
def test_what_was_written_is_read(octets: bytes, name: str) -> None:
    assert b"".join(piece.octets for piece in pieces_in(SPELLINGS[name](octets))) == octets


@given(st.text(alphabet="0x7eA,:; []b'\\\"<>RT\n(=@.|-", max_size=300))
def test_any_text(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert all(isinstance(piece.octets, bytes) for piece in pieces_in(text))


@pytest.mark.parametrize("part", ["ab", "ab ", "ab,", "1,2,", "b'", "A(x=", "12:34:56 ", "[1,", "\\x7e", "0000: ab\n"])
def test_long_texts_take_linear_time(part: str) -> None:
    """No clock is looked at: what takes quadratic time here takes longer than a test may."""
    for around in ("{}", "x {} z", "{}q"):
        try:
            pieces_in(around.format(part * 30_000))
        except ConfigError:
            continue
