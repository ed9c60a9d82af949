"""The state directory in trouble: the bridge goes on without a memory, and with one as soon as it can."""

from __future__ import annotations

import errno
import os

import pytest

from dlms_mqtt.bridge import state_dir
from dlms_mqtt.bridge.state_dir import STATE_FILE, is_usable, open_state
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError


@pytest.mark.expect_log("going on without a memory")
@pytest.mark.parametrize("content", [b"", b"\xa5" * 5000, None])
def test_a_damaged_file_is_told_and_waited_for(tmp_path, content):
    path = tmp_path / STATE_FILE
    path.mkdir() if content is None else path.write_bytes(content)
    state = open_state(tmp_path, os.urandom)
    assert state.store.path == MEMORY and str(path) in state.trouble
    assert not is_usable(tmp_path)
    assert content is None or path.read_bytes() == content, "nothing of it is thrown away: counters may be saved"
    path.rename(tmp_path / "aside")
    assert is_usable(tmp_path)
    assert not open_state(tmp_path, os.urandom).trouble


@pytest.mark.expect_log("going on without a memory")
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_first_start_on_a_full_disk_waits(tmp_path, monkeypatch, fault):
    def full(*_):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr("dlms_mqtt.bridge.config.seal.write_whole", full)
    state = open_state(tmp_path, os.urandom)
    assert state.store.path == MEMORY and os.strerror(fault) in state.trouble
    assert not is_usable(tmp_path)
    monkeypatch.undo()
    assert is_usable(tmp_path) and not open_state(tmp_path, os.urandom).trouble


def test_a_folder_that_cannot_be_one_is_a_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        open_state(tmp_path / "file" / "state", os.urandom)
    assert errno.EACCES not in state_dir._PASSING


@pytest.mark.expect_log("going on without a memory")
def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    with Store(tmp_path / STATE_FILE) as store, store.transaction() as db:
        db.execute("UPDATE components SET version = 99 WHERE name = 'store'")
    assert "newer" in open_state(tmp_path, os.urandom).trouble
