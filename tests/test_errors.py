"""The tree of errors: facts as fields, one sentence or two for people, and who can do something about it."""

from __future__ import annotations

import inspect
import pickle

import pytest

from dlms_mqtt import errors
from dlms_mqtt.errors import (
    AccessRefused,
    AttributeFailed,
    AuthenticationRefused,
    ConfigError,
    ConnectionLost,
    DlmsMqttError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    SecurityError,
    TransportError,
)

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, DlmsMqttError)]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not AttributeFailed])
def test_each_takes_a_message_and_a_hint(kind: type[DlmsMqttError]) -> None:
    error = kind("it failed", hint="Try again.")
    assert (str(error), error.message, error.hint) == ("it failed", "it failed", "Try again.")
    assert error.told == "it failed. Try again."


@pytest.mark.parametrize(
    ("message", "hint", "told"),
    [("a", "", "a"), ("a", "B.", "a. B."), ("a?", "B.", "a? B."), ("a.", "B.", "a. B."), ("a.", "", "a.")],
)
def test_sentences(message: str, hint: str, told: str) -> None:
    assert DlmsMqttError(message, hint=hint).told == told


def test_the_object_is_named_once() -> None:
    error = AccessRefused("no")
    for _ in range(2):
        error.name_target("1.0.1.8.0.255")
    assert str(error) == error.message == "1.0.1.8.0.255: no"


def test_who_can_do_something_about_it() -> None:
    assert issubclass(ConnectionLost, TransportError) and not issubclass(ConnectionLost, MeterRefused)
    assert issubclass(SecurityError, RemoteProtocolError)
    assert issubclass(AuthenticationRefused, MeterRefused)
    assert not issubclass(ConfigError, (MeterRefused, TransportError))


def test_facts_are_fields() -> None:
    error = AttributeFailed("nothing came", error=ResponseTimeout("silence", received=b"x"), target="here", sent=False)
    assert (error.name, error.target, error.sent) == ("no-answer", "here", False)
    found = ConfigError("no", file="a.yaml", line=3, key="meters.house")
    assert (found.file, found.line, found.key) == ("a.yaml", 3, "meters.house")


def test_they_go_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(ResponseTimeout("silence", received=b"x", reason="echo", hint="h")))
    assert (again.message, again.received, again.reason, again.hint) == ("silence", b"x", "echo", "h")
