"""The data channel's frames, byte for byte as Session Manager's plugin writes and reads them."""

import hashlib
import json
from random import Random
from uuid import UUID

import pytest

from kit.aws.ssm_channel import (
    ACKNOWLEDGE,
    INPUT,
    SYN,
    BadFrame,
    Frame,
    Kind,
    acknowledgement,
    decode,
    encode,
    read_json,
    read_token,
)

ID = UUID("00112233-4455-6677-8899-aabbccddeeff")
FRAME = Frame(type=INPUT, number=7, message_id=ID, created_at=1_700_000_000_000, flags=SYN, kind=1, payload=b"ls\n")


def test_a_frame_is_laid_out_as_the_plugin_has_it() -> None:
    raw = encode(FRAME)

    assert raw[0:4] == (116).to_bytes(4)
    assert raw[4:36] == b"input_stream_data".ljust(32)
    assert raw[36:40] == (1).to_bytes(4)
    assert raw[40:48] == (1_700_000_000_000).to_bytes(8)
    assert raw[48:56] == (7).to_bytes(8)
    assert raw[56:64] == (1).to_bytes(8)
    assert raw[64:80] == bytes.fromhex("8899aabbccddeeff0011223344556677")
    assert raw[80:112] == hashlib.sha256(b"ls\n").digest()
    assert raw[112:116] == (1).to_bytes(4)
    assert raw[116:120] == (3).to_bytes(4)
    assert raw[120:] == b"ls\n"


def test_what_was_written_is_read() -> None:
    assert decode(encode(FRAME)) == FRAME
    empty = Frame(type=ACKNOWLEDGE, number=0, message_id=ID)
    assert decode(encode(empty)) == empty


def test_an_acknowledgement_names_the_frame() -> None:
    assert json.loads(acknowledgement(FRAME)) == {
        "AcknowledgedMessageType": "input_stream_data",
        "AcknowledgedMessageId": "00112233-4455-6677-8899-aabbccddeeff",
        "AcknowledgedMessageSequenceNumber": 7,
        "IsSequentialMessage": True,
    }


def test_nothing_that_is_changed_in_a_frame_makes_more_than_a_refusal() -> None:
    raw = encode(FRAME)
    seed = 20261123
    chance = Random(seed)
    print("seed", seed)
    refused = 0
    for _ in range(3000):
        changed = bytearray(raw)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        del changed[len(changed) - chance.choice((0, 0, 1, 50, 119)) :]
        try:
            decode(bytes(changed))
        except BadFrame:
            refused += 1
    assert refused > 1000


@pytest.mark.parametrize("raw", [b"", b"x" * 119, b"\0" * 120, b"\xff" * 5000])
def test_noise_is_refused(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(raw)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"TokenValue": 7}', "[" * 100_000])
def test_an_opening_without_a_token_is_refused(text: str) -> None:
    with pytest.raises(BadFrame):
        read_token(text)


def test_a_token_is_read_and_kinds_have_the_plugins_numbers() -> None:
    assert read_token('{"MessageSchemaVersion": "1.0", "TokenValue": "t"}') == "t"
    assert read_json(b'{"cols": 80}') == {"cols": 80}
    assert [Kind.OUTPUT, Kind.SIZE, Kind.HANDSHAKE_REQUEST, Kind.HANDSHAKE_COMPLETE] == [1, 3, 5, 7]
