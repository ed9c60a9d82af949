"""The broker of a conversation: tried at once, asked for again while it does not take us, and told how it went."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.bridge.config.sections.bridge import Mqtt
from dlms_mqtt.cli.setup import broker, words
from dlms_mqtt.cli.setup.broker import ask_broker, known_broker
from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.cli.setup.search import NotFound
from dlms_mqtt.errors import ConfigError
from tests.bridge import conftest as brokers
from tests.free_port import free_port

mosquitto_factory, mosquitto = brokers.mosquitto_factory, brokers.mosquitto  # fixtures


class Talk(Conversation):
    """Somebody who answers as he was told to."""

    def __init__(self, **answers: list[str]) -> None:
        super().__init__("en", asks=True)
        self.answers = answers
        self.asked: list[str] = []

    def _input(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.answers["typed"].pop(0)

    def ask_secret(self, question: str, parse: Any = str, *, needed: bool = True) -> str:
        return self.answers["secret"].pop(0)


def options(address: str | None = None, user: str = "", password: str = "", ca: str = "") -> argparse.Namespace:
    return argparse.Namespace(broker=address, broker_user=user, broker_password=password, broker_ca=ca)


def tried(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[Mqtt]:
    """What the broker says, one after the other; "" takes us."""
    seen: list[Mqtt] = []
    left = list(answers)

    async def try_broker(mqtt: Mqtt) -> str:
        seen.append(mqtt)
        return left.pop(0)

    monkeypatch.setattr(broker, "try_broker", try_broker)
    return seen


def test_a_real_broker_takes_us(mosquitto: brokers.Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask_broker(Conversation("en", asks=False), options(f"127.0.0.1:{mosquitto.port}"))
    assert (found["host"], found["port"]) == ("127.0.0.1", mosquitto.port)
    assert f"127.0.0.1:{mosquitto.port}" in capsys.readouterr().out


def test_without_anybody_to_ask_a_broker_that_is_not_there_ends_it() -> None:
    with pytest.raises(NotFound, match="Nothing was written") as caught:
        ask_broker(Conversation("en", asks=False), options(f"127.0.0.1:{free_port()}"))
    assert "--broker" in caught.value.hint


def test_another_address_is_asked_for_and_the_credentials_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tried(monkeypatch, "it does not answer.", "")
    found = ask_broker(Talk(typed=["192.0.2.6"]), options("192.0.2.5", "dlms", "text:geheim"))
    assert [mqtt.host for mqtt in seen] == ["192.0.2.5", "192.0.2.6"]
    assert (found["host"], found["username"], found["password"]) == ("192.0.2.6", "dlms", "text:geheim")


@pytest.mark.parametrize(("typed", "kept"), [("geheim", "text:geheim"), ("env:PASSWORD", "env:PASSWORD")])
def test_credentials_are_asked_for_where_others_are_wanted(
    monkeypatch: pytest.MonkeyPatch, typed: str, kept: str
) -> None:
    monkeypatch.setenv("PASSWORD", "geheim")
    tried(monkeypatch, "it refused user name or password", "")
    found = ask_broker(Talk(typed=["dlms"], secret=[typed]), options("192.0.2.5"))
    assert (found["username"], found["password"]) == ("dlms", kept)


def test_a_certificate_is_asked_for_where_tls_was_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong.pem", tmp_path / "ca.pem"
    for file in (wrong, right):
        file.write_text("-")
    tried(monkeypatch, "its certificate is signed by nobody we know", "")
    found = ask_broker(Talk(typed=[str(right)]), options("mqtts://192.0.2.5", ca=str(wrong)))
    assert found["tls"]["ca"] == str(right)


def test_an_address_that_is_none_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="--broker"):
        ask_broker(Conversation("en", asks=False), options("http://x y"))


def test_the_broker_of_the_configuration_may_be_down_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    tried(monkeypatch, "", "down", "down")
    known_broker(Conversation("en", asks=False), Mqtt())
    somebody = Talk(typed=[""])
    known_broker(somebody, Mqtt())
    assert words.BROKER_ANYWAY in somebody.asked[0]
    with pytest.raises(NotFound, match="Nothing was written"):
        known_broker(Conversation("en", asks=False), Mqtt())
