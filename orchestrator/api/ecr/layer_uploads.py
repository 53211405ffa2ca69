"""Layer uploads over the ECR API, into the sessions that ``docker push`` uses too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kit.aws.errors import InvalidParameterException
from orchestrator.api.ecr.errors import (
    EmptyUploadException,
    InvalidLayerException,
    InvalidLayerPartException,
    LayerAlreadyExistsException,
    LayerPartTooSmallException,
    LimitExceededException,
    ServerException,
    UploadNotFoundException,
    in_aws_words,
)
from orchestrator.api.ecr.finding import find_named_repository, make_room_for
from orchestrator.api.ecr.wire import ecr
from orchestrator.errand import Errand
from registry.errors import BlobUploadUnknown, DigestInvalid, NotAtHome, StorageFull, UploadBusy
from registry.names import is_digest
from registry.parts import (
    PART_SIZE,
    LayerThere,
    NothingThere,
    NotNext,
    PartTooSmall,
    TooMuch,
    complete,
    take_part,
)
from registry.storage import StorageError


@ecr.operation("InitiateLayerUpload", outside=True)
def initiate_layer_upload(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """A session for one layer, and how large its parts had best be."""
    errand.transact(lambda call: make_room_for(call, request))
    name = _repository(errand, request)
    with _in_layer_words(errand, name):
        return {"uploadId": errand.tools.uploads.begin(name), "partSize": PART_SIZE}


@ecr.operation("UploadLayerPart", outside=True)
def upload_layer_part(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """Append a part. One that has arrived already is answered as it was the first time."""
    name, upload = _repository(errand, request), request["uploadId"]
    first, last, data = request["partFirstByte"], request["partLastByte"], request["layerPartBlob"]
    if last - first + 1 != len(data) or not data:
        raise InvalidParameterException(
            "Invalid parameter at 'layerPartBlob' failed to satisfy constraint: "
            f"'{len(data)} bytes are not what is from partFirstByte to partLastByte'"
        )
    with _in_layer_words(errand, name, upload):
        end = take_part(errand.store, errand.tools.uploads, name, upload, first=first, data=data)
    return {**_said(errand, name, upload), "lastByteReceived": end - 1}


@ecr.operation("CompleteLayerUpload", outside=True)
def complete_layer_upload(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """Verify the layer and make it one of the repository."""
    name, upload, digests = _repository(errand, request), request["uploadId"], request["layerDigests"]
    for digest in digests:
        if not is_digest(digest):
            raise InvalidParameterException(
                f"Invalid parameter at 'layerDigests' failed to satisfy constraint: '{digest[:200]}' is no digest"
            )
    with _in_layer_words(errand, name, upload):
        digest = complete(errand.store, errand.tools.uploads, name, upload, digests)
    return {**_said(errand, name, upload), "layerDigest": digest}


def _repository(errand: Errand, request: dict[str, Any]) -> str:
    return errand.read(lambda call: find_named_repository(call, request).name)


def _said(errand: Errand, name: str, upload: str) -> dict[str, Any]:
    return {"registryId": errand.tools.settings.account, "repositoryName": name, "uploadId": upload}


@contextmanager
def _in_layer_words(errand: Errand, name: str, upload: str = "") -> Iterator[None]:
    account = errand.tools.settings.account
    where = f"in the repository with name '{name}' in registry with id '{account}'"
    try:
        with in_aws_words(name, account):
            yield
    except BlobUploadUnknown:
        raise UploadNotFoundException(f"Upload with id '{upload}' does not exist {where}") from None
    except NotNext as error:
        received = {"lastValidByteReceived": error.offset - 1} if error.offset else {}
        raise InvalidLayerPartException(
            f"Layer part with first byte other than '{error.offset}' cannot follow in the upload with id '{upload}' "
            f"{where}",
            registryId=account,
            repositoryName=name,
            uploadId=upload,
            **received,
        ) from None
    except TooMuch as error:
        raise LimitExceededException(error.message) from None
    except LayerThere:
        raise LayerAlreadyExistsException(f"Layer with this digest already exists {where}") from None
    except NothingThere:
        raise EmptyUploadException(f"Upload with id '{upload}' has no layer parts {where}") from None
    except PartTooSmall:
        raise LayerPartTooSmallException from None
    except DigestInvalid as error:
        uploaded = (error.details[0] or {}).get("uploaded", "another one")
        raise InvalidLayerException(f"The layer's digest is '{uploaded}' and not the one given") from None
    except UploadBusy as error:
        raise InvalidLayerException(error.message) from None
    except (NotAtHome, StorageFull) as error:
        raise ServerException(error.message) from None
    except StorageError:
        raise ServerException("The registry's storage does not answer; try again.") from None
