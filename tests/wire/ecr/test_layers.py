"""Layers over the ECR API through boto3: uploaded in parts, mixed with ``/v2``, refused in AWS's words."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from kit.settings import Settings
from orchestrator.api.ecr import ecr as service
from registry.home import move_in
from registry.parts import MEBIBYTE, MOST_PARTS, PART_SIZE
from registry.storage.memory import MemoryStorage
from state.uploads import Upload
from tests.support.loopback import Loopback
from tests.support.registry import RegistryClient, image_of, sha256, sha512

LAYER = bytes(range(256)) * (6 * MEBIBYTE // 256) + b"the rest"


@pytest.fixture
def web(ecr: Any) -> str:
    ecr.create_repository(repositoryName="web")
    return "web"


def begin(ecr: Any) -> str:
    upload: str = ecr.initiate_layer_upload(repositoryName="web")["uploadId"]
    return upload


def send(ecr: Any, upload: str, first: int, data: bytes, *, last: int | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = ecr.upload_layer_part(
        repositoryName="web",
        uploadId=upload,
        partFirstByte=first,
        partLastByte=first + len(data) - 1 if last is None else last,
        layerPartBlob=data,
    )
    return answer


def complete(ecr: Any, upload: str, *digests: str) -> dict[str, Any]:
    answer: dict[str, Any] = ecr.complete_layer_upload(
        repositoryName="web", uploadId=upload, layerDigests=list(digests)
    )
    return answer


def test_an_image_is_pushed_without_a_registry_client(ecr: Any, web: str, registry: RegistryClient) -> None:
    begun = ecr.initiate_layer_upload(repositoryName=web)
    assert begun["partSize"] == PART_SIZE
    upload = begun["uploadId"]
    middle = 5 * MEBIBYTE
    assert send(ecr, upload, 0, LAYER[:middle])["lastByteReceived"] == middle - 1
    answer = send(ecr, upload, middle, LAYER[middle:])
    assert answer["lastByteReceived"] == len(LAYER) - 1
    assert (answer["registryId"], answer["repositoryName"], answer["uploadId"]) == ("123456789012", web, upload)
    assert complete(ecr, upload, sha256(LAYER))["layerDigest"] == sha256(LAYER)
    config = begin(ecr)
    send(ecr, config, 0, b"{}")
    complete(ecr, config, sha256(b"{}"))
    (layer,) = ecr.batch_check_layer_availability(repositoryName=web, layerDigests=[sha256(LAYER)])["layers"]
    assert (layer["layerAvailability"], layer["layerSize"]) == ("AVAILABLE", len(LAYER))
    registry.push_manifest(web, image_of(LAYER), "v1")
    assert registry.call("GET", f"{web}/blobs/{sha256(LAYER)}").content == LAYER


def test_a_session_is_the_same_at_both_doors(ecr: Any, web: str, registry: RegistryClient) -> None:
    upload = begin(ecr)
    send(ecr, upload, 0, b"one ")
    place = f"{web}/blobs/uploads/{upload}"
    assert registry.call("GET", place).headers["Range"] == "0-3"
    assert registry.call("PATCH", place, data=b"two ").status_code == 202
    send(ecr, upload, 8, b"three")
    digest = sha256(b"one two three")
    assert registry.call("PUT", f"{place}?digest={digest}").status_code == 201

    location = registry.call("POST", f"{web}/blobs/uploads/").headers["Location"]
    registry.call("PATCH", location, data=b"begun there")
    other = location.rpartition("/")[2]
    assert complete(ecr, other, sha256(b"begun there"))["layerDigest"] == sha256(b"begun there")


def test_a_part_that_came_before_is_answered_again(ecr: Any, web: str) -> None:
    upload, middle = begin(ecr), 5 * MEBIBYTE
    first = send(ecr, upload, 0, LAYER[:middle])
    send(ecr, upload, middle, LAYER[middle:])
    again = send(ecr, upload, 0, LAYER[:middle])
    assert again["lastByteReceived"] == first["lastByteReceived"] == middle - 1
    assert complete(ecr, upload, sha256(LAYER))["layerDigest"] == sha256(LAYER)


@pytest.mark.parametrize(("first", "data"), [(0, b"ONE "), (2, b"e two"), (5, b"two"), (2**40, b"two")])
def test_a_part_out_of_order_is_told_where_to_go_on(ecr: Any, web: str, first: int, data: bytes) -> None:
    upload = begin(ecr)
    send(ecr, upload, 0, b"one ")
    if first == 2**40:
        with pytest.raises(ecr.exceptions.LimitExceededException):
            send(ecr, upload, first, data)
        return
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        send(ecr, upload, first, data)
    told = caught.value.response
    assert (told["registryId"], told["repositoryName"], told["uploadId"]) == ("123456789012", web, upload)
    assert told["lastValidByteReceived"] == 3


def test_the_first_part_begins_at_the_beginning(ecr: Any, web: str) -> None:
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        send(ecr, begin(ecr), 1, b"one")
    assert "lastValidByteReceived" not in caught.value.response


@pytest.mark.parametrize(("data", "last"), [(b"one", 3), (b"one", 1), (b"", 0), (b"", None)])
def test_a_part_has_as_many_bytes_as_it_says(ecr: Any, web: str, data: bytes, last: int | None) -> None:
    with pytest.raises(ClientError) as caught:
        send(ecr, begin(ecr), 0, data, last=last if last is not None else 0)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_a_layer_that_is_there_already_is_not_made_twice(ecr: Any, web: str) -> None:
    for expected in (None, ecr.exceptions.LayerAlreadyExistsException):
        upload = begin(ecr)
        send(ecr, upload, 0, b"layer")
        if expected is None:
            complete(ecr, upload, sha256(b"layer"))
        else:
            with pytest.raises(expected):
                complete(ecr, upload, sha256(b"layer"))


def test_a_wrong_digest_ends_the_upload(ecr: Any, web: str) -> None:
    upload = begin(ecr)
    send(ecr, upload, 0, b"layer")
    with pytest.raises(ecr.exceptions.InvalidLayerException, match=sha256(b"layer")):
        complete(ecr, upload, sha256(b"another"))
    with pytest.raises(ecr.exceptions.UploadNotFoundException):
        complete(ecr, upload, sha256(b"layer"))
    assert ecr.batch_check_layer_availability(repositoryName=web, layerDigests=[sha256(b"layer")])["layers"] == [
        {"layerDigest": sha256(b"layer"), "layerAvailability": "UNAVAILABLE"}
    ]


def test_every_digest_given_must_be_the_layers(ecr: Any, web: str) -> None:
    upload = begin(ecr)
    send(ecr, upload, 0, b"layer")
    with pytest.raises(ecr.exceptions.InvalidLayerException):
        complete(ecr, upload, sha256(b"layer"), sha512(b"another"))
    assert complete(ecr, upload, sha512(b"layer"), sha256(b"layer"))["layerDigest"] == sha512(b"layer")


def test_what_cannot_be_completed_says_why(ecr: Any, web: str) -> None:
    upload = begin(ecr)
    with pytest.raises(ecr.exceptions.EmptyUploadException):
        complete(ecr, upload, sha256(b""))
    with pytest.raises(ecr.exceptions.UploadNotFoundException):
        complete(ecr, str(uuid4()), sha256(b""))
    with pytest.raises(ecr.exceptions.InvalidParameterException):
        complete(ecr, upload, "sha256:short")
    send(ecr, upload, 0, b"too small")
    send(ecr, upload, 9, b" for a part")
    with pytest.raises(ecr.exceptions.LayerPartTooSmallException):
        complete(ecr, upload, sha256(b"too small for a part"))


def test_an_upload_is_of_one_repository(ecr: Any, web: str) -> None:
    ecr.create_repository(repositoryName="other")
    upload = ecr.initiate_layer_upload(repositoryName="other")["uploadId"]
    with pytest.raises(ecr.exceptions.UploadNotFoundException):
        send(ecr, upload, 0, b"one")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.initiate_layer_upload(repositoryName="nope")


def test_a_layer_has_so_many_parts_at_most(ecr: Any, web: str, registry: RegistryClient) -> None:
    upload = begin(ecr)

    def nearly(session: Any) -> None:
        session.get(Upload, upload).parts = MOST_PARTS - 1

    registry.store.transact(nearly)
    send(ecr, upload, 0, b"last")
    with pytest.raises(ecr.exceptions.LimitExceededException):
        send(ecr, upload, 4, b"one more")


def test_of_parts_that_race_each_is_taken_once(ecr: Any, ecr_plane: Loopback, web: str) -> None:
    upload = begin(ecr)
    clients = [ecr_plane.client("ecr") for _ in range(4)]

    def race(client: Any) -> str:
        try:
            send(client, upload, 0, b"the same")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "taken"

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(race, clients)) <= {"taken", "InvalidLayerPartException"}
    assert complete(ecr, upload, sha256(b"the same"))["layerDigest"] == sha256(b"the same")


@pytest.fixture
def strange(registry: RegistryClient, tmp_path: Path) -> Iterator[Loopback]:
    """A control plane of the same store that was given another storage."""
    loopback = Loopback(
        str(registry.store.url),
        [service],
        settings=Settings(data=tmp_path),
        secrets=registry.secrets,
        storage=MemoryStorage(),
    )
    yield loopback
    loopback.close()


def test_who_has_another_storage_takes_no_layer(
    ecr: Any, web: str, strange: Loopback, registry: RegistryClient, caplog: pytest.LogCaptureFixture
) -> None:
    upload, elsewhere = begin(ecr), strange.client("ecr")
    for ask in (
        lambda: begin(elsewhere),
        lambda: send(elsewhere, upload, 0, b"lost"),
    ):
        with pytest.raises(elsewhere.exceptions.ServerException, match="does not have the storage"):
            ask()
    assert "does not have the registry's storage" in caplog.text
    send(ecr, upload, 0, b"kept")
    # An operator may say that this is the right one; it is heard at the next upload.
    move_in(registry.store, strange.storage)
    assert begin(elsewhere)
