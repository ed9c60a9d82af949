"""Meters that others met, and their neighbours: one odd answer costs one value, and is said.

The cases are files: what the meter does, which commands are run, what they must and must not say.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlms_mqtt import Meter
from tests.cases.scripted_meter import at_work
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]

CASES = sorted((Path(__file__).parent / "protocol").glob("*.yaml"))
CAPTURES = Path(__file__).parents[1] / "captures"
THREE = ["1.0.1.8.0.255", "1.0.32.7.0.255", "1.0.1.7.0.255"]
QUICK = ["--timeout", "0.6", "--retries", "1"]  # of a busy machine; what is silent costs twice that


def run(cli: Cli, case: dict[str, Any], words: list[str], *, udp: bool = False, **wanted: Any) -> str:
    """Run a command against the meter of a case: what it said."""
    with at_work(case, udp=udp) as lines:
        began = time.monotonic()
        address = f"127.0.0.1:{lines.port}"
        result = cli(*[word.replace("127.0.0.1:PORT", address) for word in words])
        took = time.monotonic() - began
    said = result.out + result.err
    assert took < wanted.get("within", 60), f"{took:.1f} s"
    assert "Traceback" not in said
    assert "rc" not in wanted or result.status == wanted["rc"], said
    for pattern in wanted.get("want") or ():
        assert re.search(pattern, said), said
    for pattern in wanted.get("not") or ():
        assert not re.search(pattern, said), said
    return said


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(cli: Cli, path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    for text in case.get("decode") or ():
        given = str(CAPTURES / text["file"]) if "file" in text else text["text"]
        said = cli("decode", *text.get("args", ()), given).out
        assert all(re.search(pattern, said) for pattern in text.get("want", ())), said
    for step in case.get("steps") or ():
        wanted = {key: value for key, value in step.items() if key not in ("cmd", "meter")}
        run(cli, {**case["meter"], **(step.get("meter") or {})}, step["cmd"], **wanted)


LINES = {
    "wrapper": ({"framing": "wrapper"}, ["--tcp", "127.0.0.1:PORT"], False),
    "hdlc": ({"framing": "hdlc"}, ["--tcp", "127.0.0.1:PORT", "--framing", "hdlc"], False),
    "udp": ({"framing": "wrapper"}, ["--udp", "127.0.0.1:PORT"], True),
}
# How one attribute (power) fails: the meter, what is said of it.
POWER = "^c001..00030100010700ff02"
ODD: dict[str, tuple[dict[str, Any], str]] = {
    "silence": ({"rules": [{"when": POWER, "silence": True}]}, "no answer|does not answer"),
    "closed": ({"rules": [{"when": POWER, "drop": True}]}, "clos|no answer"),
    "unknown type": ({"values": {"3/1.0.1.7.0.255:2": "8001"}}, "data type 128.*8001"),
    "cut off": ({"values": {"3/1.0.1.7.0.255:2": "060001"}}, "cut off"),
    "exception": ({"rules": [{"when": POWER, "reply": ["d80201"]}]}, "exception"),
    "no result": ({"rules": [{"when": POWER, "reply": ["c401II"]}]}, "needs|missing"),
    "unknown tag": ({"rules": [{"when": POWER, "reply": ["770011"]}]}, "tag 77"),
    "empty": ({"rules": [{"when": POWER, "reply": [""]}]}, "empty|no answer|does not answer"),
    "empty blocks": ({"rules": [{"when": POWER, "reply": ["c402II00000000010000"]}]}, "empty block"),
    "wrong block": ({"rules": [{"when": POWER, "reply": ["c402II0000000007000101"]}]}, "block 7"),
    "another service": ({"rules": [{"when": POWER, "reply": ["c501II00"]}]}, "not allowed|does not answer"),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("odd", ODD)
def test_one_attribute_fails_alone(cli: Cli, odd: str, line: str) -> None:
    framing, words, udp = LINES[line]
    meter, told = ODD[odd]
    want = ["1234567", r"230\.1", rf"1\.0\.1\.7\.0.*({told})|({told})"]
    said = run(cli, {**framing, **meter}, ["read", *THREE, *words, *QUICK], udp=udp, rc=0, want=want)
    assert re.search(r"1\.0\.1\.7\.0", said)


@pytest.mark.parametrize("how", ["cut-choice", "fewer", "more", "rest"])
@pytest.mark.parametrize("line", LINES)
def test_a_wrong_list_is_read_singly(cli: Cli, how: str, line: str) -> None:
    framing, words, udp = LINES[line]
    meter = {**framing, "conformance": "00121d", "rules": [{"when": "^c003", "list": how}]}
    run(cli, meter, ["read", *THREE, *words, *QUICK], udp=udp, rc=0, want=["1234567", r"230\.1", "456"])


@pytest.mark.parametrize("odd", ["silence", "unknown type", "cut off"])
def test_an_odd_attribute_in_lists(cli: Cli, odd: str) -> None:
    """The list that it spoils is taken apart, and the others are read."""
    meter, told = ODD[odd]
    rules = [
        *meter.get("rules", ()),
        *([{"when": "^c003.*0100010700ff02", "silence": True}] if odd == "silence" else []),
    ]
    case = {"framing": "wrapper", "conformance": "00121d", **meter, "rules": rules}
    run(cli, case, ["read", *THREE, "--tcp", "127.0.0.1:PORT", *QUICK], rc=0, want=["1234567", r"230\.1", told])


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    "scaler",
    [
        {"rules": [{"when": "^c001..00030100010700ff03", "drop": True}]},
        {"rules": [{"when": "^c001..00030100010700ff03", "reply": ["d80201"]}], "told": False},
        {"values": {"3/1.0.1.7.0.255:3": "02020f"}},
        {"values": {"3/1.0.1.7.0.255:3": "02020f7f161b"}},
        {"values": {"3/1.0.1.7.0.255:3": "00"}, "told": False},
    ],
    ids=["closed", "refused", "cut off", "absurd", "null"],
)
def test_a_scaler_that_does_not_come_is_told(cli: Cli, scaler: dict[str, Any], line: str) -> None:
    """The number stands there as it was sent, which may be a tenth of it; that there is none is no fault."""
    framing, words, udp = LINES[line]
    told = scaler.get("told", True)
    want = {"want" if told else "not": [r"no scaler and unit came.* 3/1\.0\.1\.7\.0\.255:3"]}
    said = run(cli, {**framing, **scaler}, ["read", *THREE, *words, *QUICK], udp=udp, rc=0, **want)
    assert re.search(r"import +456 *\n", said) and "1234567  Wh" in said


def test_octets_behind_a_value_are_told(cli: Cli) -> None:
    case = {"framing": "wrapper", "values": {"3/1.0.1.7.0.255:2": "06000001c8 dead"}}
    words = ["read", *THREE, "--tcp", "127.0.0.1:PORT", *QUICK]
    run(cli, case, words, rc=0, want=["456", "2 octets are left over behind .*1.0.1.7.0", "1234567"])


@pytest.mark.parametrize(("where", "told"), [("answers_from", "another address"), ("answers_to", "client address")])
def test_answers_of_and_for_others_are_told_as_that(cli: Cli, where: str, told: str) -> None:
    case = {"framing": "hdlc", where: "05" if where == "answers_from" else "43"}
    words = ["read", THREE[0], "--tcp", "127.0.0.1:PORT", "--framing", "hdlc", *QUICK]
    run(cli, case, words, rc=1, want=[told], **{"not": ["optical head"]})


@pytest.mark.parametrize("form", [{"llc_each": True}, {"length8": True, "max_info": 700}, {}])
def test_odd_framing(cli: Cli, form: dict[str, Any]) -> None:
    """The LLC header in every segment; a length field of eight bits in frames of more than 255 octets."""
    long = "".join(f"{n % 251:02x}" for n in range(600))
    case = {"framing": "hdlc", "values": {"1/0.0.96.1.0.255:2": "0982 0258" + long}, **form}
    words = ["read", "1/0.0.96.1.0.255", "--tcp", "127.0.0.1:PORT", "--framing", "hdlc", "--max-info", "1024", *QUICK]
    run(cli, case, words, rc=0, want=[long])


@pytest.mark.parametrize("objects", [4, "0100", "00"])
def test_a_bare_code_needs_no_object_list(cli: Cli, objects: int | str) -> None:
    case = {"framing": "wrapper", "object_list": objects}
    run(cli, case, ["read", *THREE, "--tcp", "127.0.0.1:PORT", *QUICK], rc=0, want=["1234567", "456"])


@pytest.mark.parametrize("objects", [4, "0100", "00"], ids=["refused", "empty", "null"])
@pytest.mark.parametrize("more", [[], ["--values"], ["--suggest"], ["--json"]], ids=lambda words: " ".join(words))
def test_objects_of_a_meter_without_a_list(cli: Cli, objects: int | str, more: list[str]) -> None:
    """The well-known ones that answer, and why there are no others."""
    words = ["objects", "--tcp", "127.0.0.1:PORT", *QUICK, *more]
    want = ["gives no object list", "Another --client", "" if more == ["--suggest"] else r"1\.0\.1\.8\.0\.255"]
    hidden = {"not": [r"1\.0\.72\.7\.0\.255", "dlms-mqtt objects. lists"]}
    run(cli, {"framing": "wrapper", "object_list": objects}, words, rc=0, want=want, **hidden)


ENTRY = "0204 12{} 1100 0906 {} 0202 0103 02030f01160100 02030f02160100 02030f03160100 0100"
ENERGY, VOLTAGE = ENTRY.format("0003", "0100010800ff"), ENTRY.format("0003", "0100200700ff")
NEGATIVE = ENTRY.format("0003", "0100010900ff").replace("120003", "10ffff")
LIST = "^c001..000f0000280000ff02"


@pytest.mark.parametrize("more", [[], ["--values"]], ids=["names", "values"])
@pytest.mark.parametrize(
    "meter",
    [
        {"rules": [{"when": LIST, "silence": True}]},
        {"rules": [{"when": LIST, "drop": True}]},
        {"object_list": "0903aabbcc"},
        {"object_list": ""},
        {"object_list": "0102 00 1101"},
        {"object_list": f"0203 {ENERGY} {NEGATIVE} {VOLTAGE}"},
    ],
    ids=["silent", "closed", "octets", "nothing", "no objects", "a structure, a negative class"],
)
def test_objects_of_a_meter_with_an_odd_list(cli: Cli, meter: dict[str, Any], more: list[str]) -> None:
    """What makes sense of it, else the well-known objects; never nothing."""
    words = ["objects", "--tcp", "127.0.0.1:PORT", *QUICK, *more]
    want = [r"1\.0\.1\.8\.0\.255", r"1\.0\.32\.7\.0\.255", "230.1 V" if more else ""]
    run(cli, {"framing": "wrapper", **meter}, words, rc=0, want=want, **{"not": [r"1\.0\.1\.9\.0\.255"]})


@pytest.mark.parametrize("how", ["silence", "drop"])
def test_a_list_that_never_comes_takes_nothing_that_was_read(cli: Cli, how: str) -> None:
    """It is asked for to learn the class of a bare code that is undefined."""
    case = {"framing": "wrapper", "rules": [{"when": LIST, how: True}]}
    words = ["read", THREE[0], "1.0.2.7.0.255", "--tcp", "127.0.0.1:PORT", *QUICK]
    run(cli, case, words, rc=0, want=["1234567", "2.7.0.255.*object-undefined"])


@pytest.mark.parametrize(
    ("rules", "told"),
    [([], "the meter has no object 0.0.77.77.77.255"), ([{"when": LIST, "silence": True}], "gives no object list")],
    ids=["not in the list", "no list"],
)
def test_an_object_that_nobody_knows_fails_alone(cli: Cli, rules: list[Any], told: str) -> None:
    words = ["read", THREE[0], "0.0.77.77.77.255", THREE[1], "--tcp", "127.0.0.1:PORT", *QUICK]
    run(cli, {"framing": "wrapper", "rules": rules}, words, rc=0, want=["1234567", told, "230.1"])


async def test_the_library_looks_up_a_class_that_the_catalogue_has_wrong() -> None:
    values = {"1/1.0.2.7.0.255:1": "0906 0100020700ff", "1/1.0.2.7.0.255:2": "120007"}
    with at_work({"framing": "wrapper", "values": values}) as lines:
        async with Meter(f"tcp://127.0.0.1:{lines.port}", state=None) as meter:
            reading = await meter.read("1.0.2.7.0.255")
    assert (reading.class_id, reading.value) == (1, 7)


def test_of_a_value_that_did_not_come_no_scaler_is_missed(cli: Cli) -> None:
    case = {"framing": "wrapper", "rules": [{"when": "^c001..00030100010700", "silence": True}]}
    run(cli, case, ["read", *THREE, "--tcp", "127.0.0.1:PORT", *QUICK], rc=0, **{"not": ["no scaler and unit"]})


@pytest.mark.parametrize(("control", "said"), [("97", "rejected control field"), ("1f", "disconnected mode")])
def test_a_link_that_is_always_dropped_has_a_next_step(cli: Cli, control: str, said: str) -> None:
    case = {"framing": "hdlc", "rules": [{"when": "^60", "control": control}]}
    words = ["read", THREE[0], "--tcp", "127.0.0.1:PORT", "--framing", "hdlc", *QUICK]
    run(cli, case, words, rc=1, want=[f"{said}.*another program"])


def test_objects_of_a_meter_that_gives_nothing(cli: Cli) -> None:
    case = {"framing": "wrapper", "object_list": 4, "rules": [{"when": "^c001", "reply": ["c401II0104"]}]}
    words = ["objects", "--tcp", "127.0.0.1:PORT", *QUICK]
    run(cli, case, words, rc=1, want=["none of the well-known objects answers"])


def test_everything_is_silent(cli: Cli) -> None:
    """Then it is the meter that fails, soon, and not each attribute of its own."""
    case = {"framing": "wrapper", "rules": [{"when": "^c0", "silence": True}]}
    run(cli, case, ["objects", "--values", "--tcp", "127.0.0.1:PORT", *QUICK], rc=1, want=["no answer"], within=20)


def test_the_list_tells_the_class_where_the_catalogue_errs(cli: Cli) -> None:
    """After object-undefined the meter's own list is read; once it is kept, it goes first."""
    case = {"framing": "wrapper", "values": {"1/1.0.2.7.0.255:1": "0906 0100020700ff", "1/1.0.2.7.0.255:2": "120007"}}
    for _ in range(2):
        run(cli, case, ["read", "1.0.2.7.0.255", "--tcp", "127.0.0.1:PORT", *QUICK], rc=0, want=[" 7 *\n"])
    with at_work(case) as lines:
        cli("read", "1.0.2.7.0.255", "--tcp", f"127.0.0.1:{lines.port}", *QUICK)
        assert not any(
            request[:5] == bytes.fromhex("c001")[:2] + request[2:3] + b"\x00\x03" for request in lines.meter.requests
        )


def test_what_is_read_back_otherwise_is_told(cli: Cli) -> None:
    case = {"framing": "wrapper", "values": {"1/0.0.96.1.0.255:2": "120007"}}
    words = ["write", "1/0.0.96.1.0.255:2", "9", "--tcp", "127.0.0.1:PORT", *QUICK]
    run(cli, case, words, rc=1, want=["took 9, but shows 7"])
    case["values"]["1/0.0.96.1.0.255:2"] = "120009"
    run(cli, case, words, rc=0, want=["read back: 9"])


def test_an_action_that_returns_the_result_success(cli: Cli) -> None:
    case = {"framing": "wrapper", "rules": [{"when": "^c301", "reply": ["c701II00010100"]}]}
    run(cli, case, ["invoke", "70/0.0.96.3.10.255:1", "--tcp", "127.0.0.1:PORT", *QUICK], rc=0)
