"""The same frames as other people's encoders make, and a talk with their client."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Kind, encode_frame
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkDown, LinkUp, Received, Side

NUMBERS = [(1, None), (1, 17), (1, 127), (127, 127)]


def events(link: HdlcLink) -> list[Any]:
    return list(iter(link.next_event, None))


@pytest.mark.parametrize(("logical", "physical"), NUMBERS)
@pytest.mark.parametrize("client", [1, 16, 100])
def test_dlms_cosem_frames(logical: int, physical: int | None, client: int) -> None:
    address = pytest.importorskip("dlms_cosem.hdlc.address").HdlcAddress
    frames = pytest.importorskip("dlms_cosem.hdlc.frames")
    theirs = {"destination_address": address(logical, physical, "server"), "source_address": address(client)}
    ours = (encode_address(logical, physical), encode_address(client))
    assert encode_frame(Kind.SNRM | 0x10, *ours) == frames.SetNormalResponseModeFrame(**theirs).to_bytes()
    assert encode_frame(Kind.DISC | 0x10, *ours) == frames.DisconnectFrame(**theirs).to_bytes()
    assert encode_frame(0xB1, *ours) == frames.ReceiveReadyFrame(**theirs, receive_sequence_number=5).to_bytes()
    payload = b"\xe6\xe6\x00" + bytes(range(100))
    for segmented, final in ((False, True), (True, False)):
        frame = frames.InformationFrame(
            **theirs,
            payload=payload,
            segmented=segmented,
            final=final,
            send_sequence_number=3,
            receive_sequence_number=6,
        )
        control = 6 << 5 | final << 4 | 3 << 1
        assert encode_frame(control, *ours, payload, segmented) == frame.to_bytes()


def gurux_client(physical: int | None) -> Any:
    gurux = pytest.importorskip("gurux_dlms")
    enums = pytest.importorskip("gurux_dlms.enums")
    number = 1 if physical is None else gurux.GXDLMSClient.getServerAddress(1, physical)
    return gurux.GXDLMSClient(True, 16, number, enums.Authentication.NONE, None, enums.InterfaceType.HDLC)


def ask_gurux(server: HdlcLink, data: Any) -> bytes:
    server.receive(bytes(data))
    return server.data_to_send()


@pytest.mark.parametrize("physical", [None, 17, 500])
def test_gurux_client_against_our_server(physical: int | None) -> None:
    gurux = pytest.importorskip("gurux_dlms")
    client, server = gurux_client(physical), HdlcLink(Side.SERVER, physical=physical, max_info_transmit=62)
    reply = gurux.GXReplyData()
    client.getData(gurux.GXByteBuffer(ask_gurux(server, client.snrmRequest())), reply)
    assert isinstance(events(server)[0], LinkUp)
    client.parseUAResponse(reply.data)
    for request in client.aarqRequest():
        server.receive(bytes(request))
    (received,) = events(server)
    assert isinstance(received, Received)
    assert received.apdu[0] == 0x60
    answer = b"\xc4\x01\xc1\x00\x09\x81\x96" + bytes(150)  # an octet-string in three segments
    server.send(answer)
    reply = gurux.GXReplyData()
    client.getData(gurux.GXByteBuffer(server.data_to_send()), reply)
    while reply.isMoreData():
        more = client.receiverReady(reply)
        client.getData(gurux.GXByteBuffer(ask_gurux(server, more)), reply)
    assert bytes(reply.data.array()).endswith(bytes(150))
    ask_gurux(server, client.disconnectRequest(True))
    assert isinstance(events(server)[-1], LinkDown)


@pytest.mark.parametrize("physical", [None, 17, 500])
def test_gurux_snrm_is_ours(physical: int | None) -> None:
    client = gurux_client(physical)
    link = HdlcLink(Side.CLIENT, physical=physical)
    link.connect()
    assert bytes(client.snrmRequest()) == link.data_to_send()
