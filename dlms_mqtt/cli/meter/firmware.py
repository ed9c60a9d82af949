"""``dlms-mqtt firmware FILE``: the seven steps of image transfer, with progress; resumes an interrupted transfer."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from pathlib import Path
from typing import Any

from dlms_mqtt.cli.files import content
from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import Progress, print_json, say
from dlms_mqtt.client.procedures.image import IMAGE_OBIS, ImageReport, ImageTransfer
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.protocol.obis import Obis

_MOST = 64 << 20  # octets of an image; meters have far less room
_BEGUN = "image transfers"  # namespace of the state file: what was begun and not activated, by meter and object

EXAMPLE = "image.bin --config config.yaml --meter house"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``firmware``."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the image")
    parser.add_argument(
        "--identifier", metavar="TEXT", help="image identifier, text or hex:... (default: the file's name)"
    )
    parser.add_argument("--object", metavar="OBIS", default=str(IMAGE_OBIS), help=f"default {IMAGE_OBIS}")
    parser.add_argument("--block-size", metavar="N", type=int, help="octets per block, if less than the meter's own")
    parser.add_argument("--activate", action="store_true", help="activate the verified image (the meter may restart)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Transfer, verify and, if told, activate."""
    image = _image(args.file)
    identifier = _identifier(args.identifier or args.file.stem)
    if args.block_size is not None and args.block_size < 1:
        raise ConfigError("--block-size is at least 1")
    obis = object_of(args.object).obis
    report = asyncio.run(_transfer(target(args), image, identifier, obis, args))
    if args.json:
        print_json(_document(report))
    else:
        say(_sentence(report))
    return 0


def _image(file: Path) -> bytes:
    image = content(file, _MOST)
    if not image:
        raise ConfigError(f"{file} is empty")
    return image


def _identifier(text: str) -> bytes:
    try:
        return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()
    except ValueError:
        raise ConfigError("--identifier hex:... must be pairs of hexadecimal digits") from None


async def _transfer(where: Target, image: bytes, identifier: bytes, obis: Obis, args: Any) -> ImageReport:
    mark = {"identifier": identifier.hex(), "sha256": hashlib.sha256(image).hexdigest()}
    key = f"{where.settings.line}/{where.settings.server}/{obis}"
    with Progress(args.file.name) as bar:
        async with open_meter(where) as (client, store):
            transfer = ImageTransfer(
                client,
                image,
                identifier,
                obis=obis,
                block_size=args.block_size,
                on_begin=lambda: store.set(_BEGUN, key, mark),
                progress=lambda stage, done, total: bar.update(done, total, stage),
            )
            report = await transfer.run(activate=args.activate, begun=store.get(_BEGUN, key) == mark)
            if report.activated:
                store.forget(_BEGUN, key)
    return report


def _sentence(report: ImageReport) -> str:
    kept = f", {report.resumed} were there already" if report.resumed else ""
    ready = f"{report.blocks} blocks of {report.block_size} octets are in the meter{kept}; the image is verified"
    if report.activated is None:
        return f"{ready}. Nothing was activated: --activate does it."
    if report.restarted:
        return f"{ready}. Activation was asked for; the meter went away to restart, so read its firmware version later."
    return f"{ready} and activated."


def _document(report: ImageReport) -> dict[str, Any]:
    return {
        "blocks": report.blocks,
        "block_size": report.block_size,
        "sent": report.sent,
        "resumed": report.resumed,
        "verified": True,
        "activated": report.activated,
        "restarted": report.restarted,
        "images_to_activate": [
            {"size": info.size, "identifier": info.identification.hex(), "signature": info.signature.hex()}
            for info in report.to_activate
        ],
    }
