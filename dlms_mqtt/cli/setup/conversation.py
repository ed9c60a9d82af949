"""Questions on a terminal, in the user's language; each can be answered by an option, and none is asked without one.

Ctrl-C and Ctrl-D end the conversation. What is secret is not shown while it is typed.
"""

from __future__ import annotations

import getpass
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dlms_mqtt.cli.output import note, say
from dlms_mqtt.cli.setup import words
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.languages.texts import ENGLISH, languages, translated

T = TypeVar("T")


def language_of(environment: Mapping[str, str]) -> str:
    """The language of the terminal's locale, where there is one that we speak."""
    names = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = next(filter(None, names), "")[:2].lower()
    return language if language in languages("setup") else ENGLISH


def on_terminal() -> bool:
    """Is somebody there who can be asked?"""
    return sys.stdin.isatty() and sys.stdout.isatty()


class Conversation:
    """``asks``: is somebody there; without, only options and defaults count."""

    def __init__(self, language: str, *, asks: bool) -> None:
        self.language, self.asks = language, asks

    def text(self, text: str, **gaps: object) -> str:
        """A text in the language of the conversation."""
        return self.plain(text).format(**gaps)

    def plain(self, text: str) -> str:
        """The same of a text whose braces are no gaps."""
        return translated(text, self.language, "setup")

    def say(self, text: str, **gaps: object) -> None:
        """A sentence."""
        say(self.text(text, **gaps))
        sys.stdout.flush()

    def ask(
        self,
        question: str,
        option: str,
        given: str | None = None,
        default: str | None = None,
        parse: Callable[[str], Any] = str,
    ) -> Any:
        """A text, parsed; a wrong one is told and asked for again. ConfigError names the option."""
        if given is not None:
            return _parsed(given, option, parse)
        if not self.asks:
            return parse(self._needed(default, option))
        return self._until(self.text(question), default, parse)

    def _until(self, prompt: str, default: str | None, parse: Callable[[str], T]) -> T:
        shown = f" [{default}]" if default else ""
        while True:
            answer = self._input(f"{prompt}{shown}: ").strip() or default
            try:
                if answer is not None:
                    return parse(answer)
            except ConfigError as error:
                note(error.told)

    def ask_secret(self, question: str, parse: Callable[[str], str] = str, *, needed: bool = True) -> str:
        """What is typed, which is not shown; asked again while it is wrong, or empty and ``needed``."""
        while True:
            try:
                text = getpass.getpass(f"{self.text(question)}: ").strip()
                if text:
                    return parse(text)
                if not needed:
                    return ""
            except ConfigError as error:
                note(error.told)
            except EOFError:  # Ctrl-D
                raise KeyboardInterrupt from None

    def choose(self, question: str, rows: Sequence[tuple[str, str]], default: str) -> str:
        """One of ``rows`` (what it is, what is shown of it), by its number; the default where nobody is asked."""
        if not self.asks:
            return default
        say(self.text(question))
        for number, (_, shown) in enumerate(rows, 1):
            say(f"  {number}  {shown}")
        values = [value for value, _ in rows]
        wanted = self.text(words.WHICH_NUMBER, count=len(rows))

        def parse(text: str) -> str:
            if text.isdecimal() and 1 <= int(text) <= len(rows):
                return values[int(text) - 1]
            raise ConfigError(wanted)

        return self._until(wanted, str(values.index(default) + 1), parse)

    def confirm(
        self, question: str, given: bool | None = None, *, default: bool, unattended: bool, **gaps: object
    ) -> bool:
        """Yes or no; ``unattended``: the answer where nobody can be asked."""
        if given is not None:
            return given
        if not self.asks:
            return unattended
        yes, no = (self.text(text).split() for text in (words.YES_WORDS, words.NO_WORDS))

        def parse(text: str) -> bool:
            if text.lower() in (*yes, *no):
                return text.lower() in yes
            raise ConfigError(self.text(words.YES_NO))

        return self._until(self.text(question, **gaps), yes[0] if default else no[0], parse)

    def _input(self, prompt: str) -> str:
        """A line of the terminal. Ctrl-C just before a read is not heard until the next key, so one is awaited."""
        sys.stdout.write(prompt)
        sys.stdout.flush()
        while not select.select([sys.stdin], [], [], 0.5)[0]:
            pass
        try:
            return input()
        except EOFError:  # Ctrl-D
            raise KeyboardInterrupt from None

    def _needed(self, default: str | None, option: str) -> str:
        if default is None:
            raise ConfigError(f"{option} is needed", hint="Without a terminal every answer is given by an option.")
        return default


def _parsed(given: str, option: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(given)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error.message}", hint=error.hint) from None


def parse_with(convert: Callable[[Any], T]) -> Callable[[str], T]:
    """A conversion of the configuration as one of an answer: its mistakes are ConfigErrors."""
    import voluptuous as vol

    def parse(text: str) -> T:
        try:
            return convert(text)
        except vol.Invalid as error:
            raise ConfigError(
                str(error.errors[0].msg if isinstance(error, vol.MultipleInvalid) else error.msg)
            ) from None

    return parse
