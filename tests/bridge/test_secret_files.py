"""In which files secrets stand."""

from __future__ import annotations

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.meter.presets.preset import preset_connection


def test_files_that_hold_a_secret_are_files_of_the_configuration(tmp_path):
    """Another password at the broker was taken over by a reload only."""
    (tmp_path / "broker").write_text("one\n")
    (tmp_path / "key").write_text(f"hex:{'00' * 16}\n")
    (tmp_path / "config.yaml").write_text(
        f"mqtt: {{host: localhost, username: me, password: 'file:{tmp_path}/broker'}}\n"
        "meters: {house: {connection: {tcp: '192.0.2.1:4059', client: 1, authentication: gmac, "
        f"encryption_key: 'file:{tmp_path}/key', authentication_key: 'hex:{'11' * 16}'}}}}}}\n"
    )
    files = load_config(tmp_path / "config.yaml", preset_connection, {}).files
    assert files == {tmp_path / name for name in ("config.yaml", "broker", "key")}
