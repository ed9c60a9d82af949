from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.config.yaml_file import load


def _load(tmp_path: Path, text: str, environment: dict[str, str] | None = None, **files: str):
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(content)
        (tmp_path / f"{name}.yaml").chmod(0o600)
    (tmp_path / "c.yaml").write_text(text)
    return load(tmp_path / "c.yaml", environment or {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("0123", "0123"),
        ("4E4100000001", "4E4100000001"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("0x10", "0x10"),
        ("1.0.1.8.0.255", "1.0.1.8.0.255"),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("0.5", 0.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ('"12"', "12"),
        ("'true'", "true"),
    ],
)
def test_scalars(tmp_path, text, value):
    document = _load(tmp_path, f"key: {text}\n")
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)
    assert not document.mistakes


def test_every_value_knows_its_line(tmp_path):
    document = _load(tmp_path, "a:\n  b:\n    - c: 1\n    - c: 2\n")
    assert document.mark(("a", "b", 1, "c")).line == 4
    assert document.mark(("a", "b", 1, "missing")).line == 4
    assert document.mark(("a",)).line == 1


def test_tags(tmp_path):
    document = _load(
        tmp_path,
        "p: !secret word\ne: !env PORT\ni: !include more.yaml\n",
        {"PORT": "1883"},
        secrets="other: 1\nword: text:abc\n",
        more="x: !secret word\n",
    )
    assert document.data == {"p": "text:abc", "e": "1883", "i": {"x": "text:abc"}}
    assert not document.mistakes and not document.warnings
    assert document.mark(("p",)) == (str(tmp_path / "secrets.yaml"), 2, True)
    assert document.mark(("e",)).hidden
    assert document.mark(("i", "x")).hidden
    assert {file.name for file in document.files} == {"c.yaml", "secrets.yaml", "more.yaml"}


def test_secrets_open_to_everybody_are_a_warning(tmp_path):
    (tmp_path / "secrets.yaml").write_text("a: text:x")
    (tmp_path / "secrets.yaml").chmod(0o644)
    (tmp_path / "c.yaml").write_text("p: !secret a\nq: !secret a\n")
    document = load(tmp_path / "c.yaml", {})
    assert len(document.warnings) == 1
    assert not document.mistakes


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a", "twice"),
        ("a:\n  b: !secret nothing\n", 2, "a.b", "no secret 'nothing'"),
        ("a: !env NOTHING\n", 1, "a", "NOTHING is not set"),
        ("a: !python/object x\n", 1, "a", "unknown tag"),
        ("a: !include c.yaml\n", 1, "a", "includes itself"),
        ("a: !include nothing.yaml\n", 0, "a", "cannot be read"),
        ("a: [1\nb: 2\n", 2, "", "not YAML"),
        ("? [a, b]\n: 1\n", 1, "", "single word"),
        ("a: &x\n  b: *x\n", 1, "a.b", "contains itself"),
    ],
)
def test_mistakes(tmp_path, text, line, key, message):
    (mistake,) = _load(tmp_path, text).mistakes
    assert (mistake.line, mistake.key) == (line, key)
    assert message in mistake.message


def test_all_mistakes_are_found(tmp_path):
    assert len(_load(tmp_path, "a: !env X\nb: !env Y\nb: 1\nc: !secret z\n").mistakes) == 4


def test_a_file_that_is_missing_or_not_text(tmp_path):
    assert "cannot be read" in load(tmp_path / "none.yaml", {}).mistakes[0].message
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\xff")
    assert "not UTF-8" in load(tmp_path / "bad.yaml", {}).mistakes[0].message


def test_an_alias_bomb_ends(tmp_path):
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert _load(tmp_path, "\n".join(lines)).mistakes


@given(st.text(max_size=60))
def test_no_text_raises(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    load(path, {})


@pytest.mark.parametrize("levels", [150, 900, 50_000])
@pytest.mark.parametrize("form", [("- ", "x", ""), ("[", "x", "]"), ("{a: ", "x", "}")])
def test_too_many_levels_are_a_mistake(tmp_path: Path, form: tuple[str, str, str], levels: int) -> None:
    document = _load(tmp_path, form[0] * levels + form[1] + form[2] * levels)
    assert document.mistakes


@pytest.mark.parametrize(
    "text", ["a: 1\nb: [x, 'y', \"z\"]\n", "a: |\n  long\n  text\nb: ~\n", "a: &x {b: 1}\nc: *x\n"]
)
def test_both_readers_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """PyYAML comes without libyaml too."""
    quick = _load(tmp_path, text)
    monkeypatch.delattr("yaml.CSafeLoader", raising=False)
    slow = _load(tmp_path, text)
    assert quick.data == slow.data
    assert quick.marks == slow.marks
    assert not quick.mistakes and not slow.mistakes


def test_a_mistake_is_told_in_the_words_of_one_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = _load(tmp_path, "a: b: c\n").mistakes
    monkeypatch.delattr("yaml.CSafeLoader", raising=False)
    slow = _load(tmp_path, "a: b: c\n").mistakes
    assert [str(row) for row in quick] == [str(row) for row in slow]
    assert quick
