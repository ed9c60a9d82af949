"""The meter of a conversation: found where it is, with what only the user knows asked for when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.cli.setup import search, words
from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.cli.setup.search import Draft, NotFound, Search
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.finder import Found, Limits
from tests.simulator.bench import frozen_meter, running

LINE = {"tcp": "192.0.2.5:4059"}
GOOD = Found(True, {"tcp": ("192.0.2.5", 4059), "client": 32}, "it works", complete=True)
ASKS = Found(True, LINE, "it asks", learned={"clients_with_password": (32,)})
DARK = Found(
    True, {**LINE, "client": 16}, "", names=("no-energy",), learned={"clients_with_password": (32,)}, complete=True
)
NOTHING = Found(False, {}, "silence", names=("silence",))
SPEAKER = Found(False, {"serial": "/dev/ttyUSB0"}, "", names=("push",))


class Talk(Conversation):
    """Somebody who answers as he was told to."""

    def __init__(self, *typed: str, secret: tuple[str, ...] = ()) -> None:
        super().__init__("en", asks=True)
        self.typed, self.secret = list(typed), list(secret)

    def _input(self, prompt: str) -> str:
        return self.typed.pop(0)

    def ask_secret(self, question: str, parse: Callable[[str], str] = str, *, needed: bool = True) -> str:
        return parse(text) if (text := self.secret.pop(0)) else ""


def made(tmp_path: Path, talk: Conversation, preset: str = "", **given: Any) -> Search:
    return Search(talk, given or dict(LINE), preset, tmp_path / "state.sqlite", Limits())


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """What the searches find, one after the other; what each was given."""

    def prepare(*results: Found) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []
        left = list(results)

        async def find(given: dict[str, Any], **_more: Any) -> Found:
            asked.append(dict(given))
            return left.pop(0)

        monkeypatch.setattr(search, "find", find)
        return asked

    return prepare


def test_a_meter_is_really_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(frozen_meter()) as port:
        found = made(tmp_path, Conversation("en", asks=False), tcp=f"127.0.0.1:{port}", client="17").run()
    assert found.connection["client"] == 17
    assert found.line == f"127.0.0.1:{port}"
    assert "17" in capsys.readouterr().out


def test_nobody_can_be_asked(tmp_path: Path, finds: Any) -> None:
    quiet = Conversation("en", asks=False)
    finds(NOTHING, ASKS, DARK)
    for hint in ("", "", "Give --client 32 and --password."):
        with pytest.raises(NotFound, match="Nothing was written") as caught:
            made(tmp_path, quiet).run()
        assert caught.value.hint == hint
    with pytest.raises(ConfigError, match="--serial or --tcp is needed"):
        Search(quiet, {}, "", tmp_path / "s", Limits()).run()


def test_a_search_that_failed_is_made_again_if_that_is_wanted(tmp_path: Path, finds: Any) -> None:
    asked = finds(NOTHING, GOOD)
    assert made(tmp_path, Talk("y")).run().connection["client"] == 32
    assert asked == [LINE, LINE]
    finds(NOTHING)
    with pytest.raises(NotFound):
        made(tmp_path, Talk("n")).run()


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("12345678", "text:12345678"),
        ("hex:3132", "hex:3132"),
        ("0011223344556677", "hex:0011223344556677"),
    ],
)
def test_a_password_for_the_client_that_asks_for_one(tmp_path: Path, finds: Any, typed: str, password: str) -> None:
    asked = finds(ASKS, GOOD)
    found = made(tmp_path, Talk("", "1", "", secret=(typed,))).run()
    assert asked[1] == {**LINE, "client": "32", "password": password}
    assert found.secrets == {"password": password}


def test_keys_instead_of_a_password(tmp_path: Path, finds: Any) -> None:
    asked = finds(ASKS, GOOD, ASKS, GOOD)
    key = "00112233 44556677 8899aabb ccddeeff"
    plain = f"hex:{key.replace(' ', '')}"
    made(tmp_path, Talk("", "2", secret=(key, key))).run()
    assert asked[1]["encryption_key"] == asked[1]["authentication_key"] == plain
    made(tmp_path, Talk("", "2", secret=(key, ""))).run()
    assert (asked[3]["encryption_key"], asked[3]["security"]) == (plain, "encryption")
    with pytest.raises(ConfigError, match="16 octets"):
        search._key("0011")


def test_a_client_that_is_shown_no_energy_is_no_success(tmp_path: Path, finds: Any) -> None:
    finds(DARK, GOOD)
    assert made(tmp_path, Talk("y", "", "1", secret=("pw",))).run().secrets == {"password": "text:pw"}
    finds(DARK)
    assert made(tmp_path, Talk("n", "y")).run().connection["client"] == 16
    finds(DARK)
    with pytest.raises(NotFound):
        made(tmp_path, Talk("n", "n")).run()


def test_a_meter_that_speaks_is_listened_to(tmp_path: Path, finds: Any) -> None:
    finds(SPEAKER)
    quiet = Conversation("en", asks=False)
    found = made(tmp_path, quiet).run()
    assert (found.speaks, found.preset, found.line) == (True, "generic", "/dev/ttyUSB0")
    assert found.section()["push"] == {"listen": "connection"}


def test_the_key_of_what_comes_in_cipher(tmp_path: Path) -> None:
    key = "00112233445566778899aabbccddeeff"
    draft = Draft({"serial": "x"}, {"password": "text:x"}, speaks=True)
    assert not made(tmp_path, Conversation("en", asks=False)).ask_push_key(draft)
    assert not made(tmp_path, Talk(secret=("",))).ask_push_key(draft)
    assert made(tmp_path, Talk(secret=(key, ""))).ask_push_key(draft)
    assert draft.secrets == {"encryption_key": f"hex:{key}"}
    assert draft.connection == {"serial": "x", "security": "encryption", "accept_unauthenticated": True}
    assert made(tmp_path, Talk(secret=(key, key))).ask_push_key(draft)
    assert set(draft.secrets) == {"encryption_key", "authentication_key"}


def test_a_port_is_chosen_by_number_or_name(
    tmp_path: Path, finds: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def chosen(typed: str) -> str:
        Search(Talk(typed), {}, "", tmp_path / "s", Limits()).run()
        return capsys.readouterr().out

    asked = finds(*[GOOD] * 4)
    monkeypatch.setattr(search, "list_ports", list)
    assert words.NO_PORTS in chosen("192.0.2.5:4059")
    ports = [SimpleNamespace(name=f"/dev/ttyUSB{number}", description=f"Head {number}") for number in (3, 7)]
    monkeypatch.setattr(search, "list_ports", lambda: ports)
    shown = chosen("2")
    assert "Head 3" in shown and "/dev/ttyUSB7" in shown and words.NO_PORTS not in shown
    chosen("/dev/ttyS0")
    monkeypatch.setattr(search, "list_ports", lambda: ports[:1])
    chosen("")  # the only one
    assert asked == [LINE, {"serial": "/dev/ttyUSB7"}, {"serial": "/dev/ttyS0"}, {"serial": "/dev/ttyUSB3"}]


def test_a_family_that_only_speaks_is_not_searched_for(tmp_path: Path, finds: Any) -> None:
    asked = finds()
    draft = made(tmp_path, Talk(), "norway-han", serial="/dev/ttyUSB0").run()
    assert draft.speaks and draft.connection == {"serial": "/dev/ttyUSB0"} and not asked


@pytest.mark.parametrize("on", [True, False])
def test_no_energy_and_nobody_who_asks_for_a_password(tmp_path: Path, finds: Any, on: bool) -> None:
    finds(Found(True, {**LINE, "client": 16}, "", names=("no-energy",), complete=True))
    dark = made(tmp_path, Talk("y" if on else "n"))
    if on:
        assert dark.run().connection["client"] == 16
        return
    with pytest.raises(NotFound) as caught:
        dark.run()
    assert caught.value.hint == "Give --client."


def test_what_was_found_before_is_forgotten_once(tmp_path: Path, finds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[Any] = []
    monkeypatch.setattr(search, "forget", forgotten.append)
    finds(NOTHING, GOOD)
    Search(Talk("y"), dict(LINE), "", tmp_path / "state.sqlite", Limits(), fresh=True).run()
    assert len(forgotten) == 1
