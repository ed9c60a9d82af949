"""``decode``: hex, files and standard input; with keys and without; the JSON that other programs rely on."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from dlms_mqtt.cli.tools.decode import print_message
from tests.cli.conftest import Cli
from tests.frames_data import Entry, entries, entry, entry_id

KAIFA = entry("push_kaifa", "amsreader-frames-kaifa-tn-3p-a")
CIPHERED = next(item for item in entries("push") if (item.get("keys") or {}).get("authentication"))


def keys(item: Entry) -> list[str]:
    texts = item.get("keys") or {}
    return [
        word
        for kind in ("encryption", "authentication")
        if kind in texts
        for word in (f"--{kind}-key", f"hex:{texts[kind]}")
    ]


def test_json(cli: Cli) -> None:
    result = cli("decode", KAIFA["hex"], "--json")
    document = result.json
    assert (result.status, result.err) == (0, "")
    assert list(document) == ["messages", "rest", "errors"]
    assert (document["rest"], document["errors"]) == ("", [])
    (message,) = document["messages"]
    assert list(message) == ["framing", "frames", "apdu", "tree", "values", "readings"]
    assert message["framing"] == "hdlc"
    (frame,) = message["frames"]
    assert list(frame) == ["type", "destination", "source", "segmented", "valid"]
    assert (frame["type"], frame["segmented"], frame["valid"]) == ("I", False, True)
    assert message["apdu"]["name"] == "data-notification"
    assert message["tree"] == KAIFA["expected"]["tree"]
    power = next(value for value in message["values"] if value["obis"] == "1.0.1.7.0.255")
    assert {name: power[name] for name in ("obis", "type", "raw", "scaler", "unit", "value")} == {
        "obis": "1.0.1.7.0.255",
        "type": "double-long-unsigned",
        "raw": 1036,
        "scaler": 0,
        "unit": "W",
        "value": 1036,
    }


def test_ciphered_json(cli: Cli) -> None:
    document = cli("decode", CIPHERED["hex"], *keys(CIPHERED), "--json").json
    (message,) = document["messages"]
    expected = CIPHERED["expected"]["ciphering"]
    assert message["ciphering"] == {
        "tag": expected["tag"],
        "system_title": expected["system_title"],
        "suite": expected["security_suite"],
        "authenticated": True,
        "encrypted": True,
        "invocation_counter": expected["invocation_counter"],
        "verified": True,
    }
    assert message["plaintext"] == CIPHERED["expected"]["plaintext"]
    assert message["apdu"]["name"] == "data-notification"
    assert message["values"]
    document = cli("decode", CIPHERED["hex"], "--json").json
    assert document["messages"][0]["ciphering"]["verified"] is None
    assert "plaintext" not in document["messages"][0]
    document = cli("decode", CIPHERED["hex"], *keys(CIPHERED)[:2], "--json").json
    assert document["messages"][0]["ciphering"]["verified"] is None  # no authentication key was given
    assert document["messages"][0]["plaintext"] == CIPHERED["expected"]["plaintext"]


def test_a_tag_that_is_wrong(cli: Cli) -> None:
    words = keys(CIPHERED)
    words[3] = "hex:" + "00" * 16
    result = cli("decode", CIPHERED["hex"], *words, "--json")
    (message,) = result.json["messages"]
    assert message["ciphering"]["verified"] is False
    assert "plaintext" not in message
    (error,) = result.json["errors"]
    assert list(error) == ["code", "message", "hint"]
    assert error["code"] == "tag"


def test_secrets_are_not_shown(cli: Cli) -> None:
    for form in ([], ["--json"]):
        result = cli("decode", CIPHERED["hex"], *keys(CIPHERED), *form)
        assert not any(word[4:] in result.out + result.err for word in keys(CIPHERED) if word.startswith("hex:"))


def spellings(text: str) -> list[list[str]]:
    pairs = [text[at : at + 2] for at in range(0, len(text), 2)]
    return [
        [text.upper()],
        pairs,
        [" ".join(pairs)],
        [":".join(pairs)],
        ["-".join(pairs)],
        [", ".join(f"0x{pair}" for pair in pairs)],
        ["\n".join(pairs)],
    ]


def test_spellings_of_octets(cli: Cli) -> None:
    wanted = cli("decode", KAIFA["hex"], "--json").json
    for words in spellings(KAIFA["hex"]):
        assert cli("decode", *words, "--json").json == wanted


def test_files_and_standard_input(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = cli("decode", KAIFA["hex"], "--json").json
    octets = bytes.fromhex(KAIFA["hex"])
    for content in (octets, KAIFA["hex"].encode() + b"\n", octets.hex(" ").encode()):
        file = tmp_path / "capture"
        file.write_bytes(content)
        assert cli("decode", str(file), "--json").json == wanted
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert cli("decode", "-", "--json").json == wanted


def test_words_for_people(cli: Cli) -> None:
    result = cli("decode", KAIFA["hex"])
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("data-notification (hdlc)\n  frame I ")
    assert "power_import" in result.out
    assert "1036  W" in result.out


def test_a_whole_conversation_is_told_as_one(cli: Cli) -> None:
    """With the scaler and unit that another answer brought."""
    capture = str(Path(__file__).parents[1] / "captures" / "own-vv.txt")
    result = cli("decode", capture)
    told = result.out.partition("\nconversation: ")[2].splitlines()
    assert (result.status, told[0]) == (0, "client 16, server 1: 3 requests, 3 answers")
    assert told[2].split() == ["1.0.1.8.0.255", "2", "Active", "energy", "import", "1234567", "Wh"]
    document = cli("decode", capture, "--json").json
    assert document["conversation"]["values"][0]["unit"] == "Wh"
    assert "conversation" not in cli("decode", KAIFA["hex"], "--json").json


def test_rows_of_a_profile_are_shown(cli: Cli) -> None:
    """A value that is no single number or text stands below its name."""
    asked = "7ea02f000250c12176943be6e600c001c100070100630100ff0201020204060000007c060000007c120001120000890a7e"
    answer = (
        "7ea03421000250c1964e5ee6e700c401c10001010204090c07e10b1c020d1e00ff80000106008000120500000000050000000073e37e"
    )
    said = cli("decode", asked + answer).out
    assert "value: ['array', [['structure', [['octet-string', '07e10b1c020d1e00ff800001'], ['double-long" in said
    assert re.search(r"1\.0\.99\.1\.0\.255 +2 +Load profile +\(array\)", said)


def test_a_push_reads_as_listen_prints_it(cli: Cli) -> None:
    (message,) = cli("decode", KAIFA["hex"], "--json").json["messages"]
    rows = {row["key"]: row for row in message["readings"]}
    assert (rows["power_import"]["value"], rows["power_import"]["unit"]) == (1036, "W")
    assert list(rows["power_import"]) == ["key", "obis", "value", "unit", "time", "quality"]


def test_nothing_is_there(cli: Cli) -> None:
    result = cli("decode", "7ea0")
    assert (result.status, result.out) == (1, "rest: 7ea0\n")
    assert result.err.startswith("dlms-mqtt: no frame and no message")
    assert cli("decode", "7ea0", "--json").json == {"messages": [], "rest": "7ea0", "errors": []}


@pytest.mark.parametrize("item", entries("malformed", "conversations"), ids=entry_id)
def test_every_capture(cli: Cli, item: Entry) -> None:
    """The words hold no traceback, whatever is given; a broken frame is named with its reason."""
    text = item.get("hex") or "".join(octets for _, octets in item["frames"])
    words, document = cli("decode", text), cli("decode", text, "--json")
    assert words.status == document.status
    assert "Traceback" not in words.err
    for frame in document.json.get("frames", ()):
        if not frame["valid"]:
            assert frame["reason"] in words.out


@pytest.mark.parametrize("item", entries("push"), ids=entry_id)
def test_every_push_in_words(cli: Cli, item: Entry) -> None:
    result = cli("decode", item["hex"], *keys(item))
    assert (result.status, result.err) == (0, "")
    shown = json.loads(cli("decode", item["hex"], *keys(item), "--json").out)["messages"][0]
    for value in shown.get("values", ()):
        assert value.get("obis", f"#{value.get('index')}") in result.out


def test_numbers_have_no_exponent(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"obis": "1.0.1.8.0.255", "value": Decimal("12E+3"), "unit": "Wh"}
    print_message({"apdu": {"name": "x"}, "framing": "hdlc", "frames": [], "values": [value]})
    assert capsys.readouterr().out.split()[-2:] == ["12000", "Wh"]
