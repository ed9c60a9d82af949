"""Files that are read whole: what is too large, not there, or without an end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dlms_mqtt.cli.files import content, whole
from dlms_mqtt.errors import ConfigError


def test_up_to_the_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert content(tmp_path / "a", 10) == b"x" * 10
    with pytest.raises(ConfigError, match="more than 0 MB"):
        content(tmp_path / "a", 9)


def test_a_device_without_end() -> None:
    with pytest.raises(ConfigError, match="more than 2 MB"):
        content(Path("/dev/zero"), 2 << 20)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "nothing", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"cannot be read: {why}"):
            content(path, 10)


def test_a_stream() -> None:
    assert whole(io.BytesIO(b"abc"), 3) == b"abc"
