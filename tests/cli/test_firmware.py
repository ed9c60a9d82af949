"""``firmware`` on the command line, against a meter of pydlms on a TCP port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydlms.simulator import ImageTransferTarget, example_meter, serve

from dlms_mqtt.cli import main

IMAGE = bytes(range(200)) * 3


class Meter:
    """The meter, its image transfer object, and the words that reach it."""

    def __init__(self, state: Path) -> None:
        sim = example_meter()
        self.target = ImageTransferTarget().install(sim)
        self.server = serve(sim)
        port = self.server.server_address[1]
        self.words = ["--tcp", f"127.0.0.1:{port}", "--state", str(state)]


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[Meter]:
    """A meter that listens, until the test is over."""
    running = Meter(tmp_path / "state.sqlite")
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image file."""
    file = tmp_path / "new-1.3.bin"
    file.write_bytes(IMAGE)
    return file


def test_transfer_then_activate(meter: Meter, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["firmware", str(image), *meter.words]) == 0
    assert "10 blocks of 64 octets are in the meter" in (said := capsys.readouterr().out)
    assert "Nothing was activated: --activate does it." in said
    assert (meter.target.identifier, meter.target.activated) == (b"new-1.3", False)
    assert b"".join(octets for _, octets in sorted(meter.target.blocks.items())) == IMAGE
    assert main(["firmware", str(image), "--activate", "--json", *meter.words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sent"], document["resumed"], document["activated"]) == (0, 10, True)
    assert document["images_to_activate"] == [{"size": 600, "identifier": b"new-1.3".hex(), "signature": ""}]
    assert meter.target.activated


def test_a_new_build_of_the_same_name_and_size_is_sent(meter: Meter, image: Path) -> None:
    assert main(["firmware", str(image), *meter.words]) == 0
    image.write_bytes(IMAGE[::-1])
    assert main(["firmware", str(image), "--activate", "--json", *meter.words]) == 0
    assert b"".join(octets for _, octets in sorted(meter.target.blocks.items())) == IMAGE[::-1]


def test_an_interrupted_transfer_is_resumed(meter: Meter, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meter.target.drop_blocks = {4: 1000}
    assert main(["firmware", str(image), "--identifier", "hex:0102", *meter.words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "does not keep 1 of the 10 blocks, the first is 4. Try again later; the transfer is resumed." in said.err
    meter.target.drop_blocks = {}
    assert main(["firmware", str(image), "--identifier", "hex:0102", "--json", *meter.words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sent"], document["resumed"]) == (1, 9)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing-here.bin"], "cannot be read"),
        (["--identifier", "hex:xyz"], "pairs of hexadecimal digits"),
        (["--block-size", "0"], "--block-size is at least 1"),
        (["--object", "1.2.x"], "OBIS"),
    ],
)
def test_wrong_usage(
    words: list[str], sentence: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = [] if words[0].endswith(".bin") else [str(image)]
    options = ["--tcp", "127.0.0.1:1", "--state", str(tmp_path / "s.sqlite")]
    assert main(["firmware", *file, *words, *options]) == 2
    assert sentence in capsys.readouterr().err


def test_an_empty_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").touch()
    assert main(["firmware", str(tmp_path / "empty"), "--tcp", "127.0.0.1:1"]) == 2
    assert "is empty" in capsys.readouterr().err


def test_what_is_said_of_an_activation(meter: Meter, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["firmware", str(image), "--activate", *meter.words]) == 0
    assert "10 blocks of 64 octets are in the meter; the image is verified and activated." in capsys.readouterr().out
