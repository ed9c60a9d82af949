"""Questions on a terminal: answers, defaults, mistakes that are asked again, options instead, and nobody to ask."""

from __future__ import annotations

import getpass
import io
import select
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import voluptuous as vol

from dlms_mqtt.cli.setup import conversation, words
from dlms_mqtt.cli.setup.conversation import Conversation, language_of, on_terminal, parse_with
from dlms_mqtt.errors import ConfigError

QUESTION = words.YES_NO  # any text that is translated


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str | type[BaseException]]]:
    """What is typed, line by line; an error in the place of a line is one of the terminal."""
    lines: list[str | type[BaseException]] = []

    def line(_prompt: str = "") -> str:
        answer = lines.pop(0)
        if isinstance(answer, str):
            return answer
        raise answer

    monkeypatch.setattr(select, "select", lambda *_: ([sys.stdin], [], []))
    monkeypatch.setattr("builtins.input", line)
    monkeypatch.setattr(getpass, "getpass", line)
    yield lines
    assert lines == []


def number(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError(f"{text} is no number", hint="Digits.")
    return int(text)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LC_ALL": "de_DE", "LANG": "en_US"}, "de"),
        ({"LC_ALL": "", "LC_MESSAGES": "de_CH"}, "de"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_of_the_locale(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_nobody_sits_at_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert not on_terminal()


def test_a_wrong_answer_is_told_and_asked_for_again(typed: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    typed += ["", "many", " 7 "]
    assert Conversation("en", asks=True).ask(QUESTION, "--n", parse=number) == 7
    assert "many is no number" in "".join(capsys.readouterr())


def test_an_empty_answer_is_the_default(typed: list[Any]) -> None:
    typed.append("")
    assert Conversation("en", asks=True).ask(QUESTION, "--n", default="5", parse=number) == 5


def test_an_option_is_not_asked_for_and_named_where_it_is_wrong() -> None:
    talk = Conversation("en", asks=True)
    assert talk.ask(QUESTION, "--n", "9", parse=number) == 9
    with pytest.raises(ConfigError, match="--n: many is no number") as caught:
        talk.ask(QUESTION, "--n", "many", parse=number)
    assert caught.value.hint == "Digits."


def test_without_anybody_to_ask_only_options_and_defaults_count() -> None:
    talk = Conversation("en", asks=False)
    assert talk.ask(QUESTION, "--n", default="3", parse=number) == 3
    with pytest.raises(ConfigError, match="--n is needed"):
        talk.ask(QUESTION, "--n", parse=number)
    assert talk.choose(QUESTION, [("a", "A"), ("b", "B")], "b") == "b"
    assert talk.confirm(QUESTION, default=True, unattended=False) is False
    assert talk.confirm(QUESTION, True, default=False, unattended=False) is True


def test_one_of_several_by_its_number(typed: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", "the first"), ("b", "the second")]
    typed += ["3", "x", "1", ""]
    talk = Conversation("en", asks=True)
    assert talk.choose(QUESTION, rows, "b") == "a"
    assert talk.choose(QUESTION, rows, "b") == "b"
    assert "  2  the second" in capsys.readouterr().out


@pytest.mark.parametrize(("language", "yes", "no"), [("en", "y", "no"), ("de", "ja", "n")])
def test_yes_and_no_in_the_language(typed: list[Any], language: str, yes: str, no: str) -> None:
    typed += [yes, no.upper(), "perhaps", "", ""]
    talk = Conversation(language, asks=True)
    assert talk.confirm(QUESTION, default=False, unattended=False) is True
    assert talk.confirm(QUESTION, default=True, unattended=True) is False
    assert talk.confirm(QUESTION, default=True, unattended=False) is True
    assert talk.confirm(QUESTION, default=False, unattended=True) is False


def test_what_is_secret_is_asked_for_until_it_is_right(typed: list[Any]) -> None:
    def key(text: str) -> str:
        if len(text) < 4:
            raise ConfigError("too short")
        return text

    talk = Conversation("en", asks=True)
    typed += ["", "abc", "abcd", ""]
    assert talk.ask_secret(QUESTION, key) == "abcd"
    assert talk.ask_secret(QUESTION, needed=False) == ""


@pytest.mark.parametrize("question", ["ask", "ask_secret"])
def test_ctrl_d_ends_the_conversation(typed: list[Any], question: str) -> None:
    typed.append(EOFError)
    talk = Conversation("en", asks=True)
    with pytest.raises(KeyboardInterrupt):
        talk.ask(QUESTION, "--n") if question == "ask" else talk.ask_secret(QUESTION)


def test_sentences_are_translated(capsys: pytest.CaptureFixture[str]) -> None:
    Conversation("en", asks=True).say(words.WHICH_NUMBER, count=3)
    english = capsys.readouterr().out
    Conversation("de", asks=True).say(words.WHICH_NUMBER, count=3)
    assert "3" in english and english != capsys.readouterr().out


def test_mistakes_of_the_configuration_are_mistakes_of_an_answer() -> None:
    assert parse_with(vol.Coerce(int))("7") == 7
    for convert in (vol.Coerce(int), vol.Schema(vol.Coerce(int))):
        with pytest.raises(ConfigError, match="expected int"):
            parse_with(convert)("many")
    assert conversation.ENGLISH == "en"
