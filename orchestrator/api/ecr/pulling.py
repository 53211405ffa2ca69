"""Pulling through over the ECR API: what is not here, or may be out of date, is fetched for those who may import it.

Whoever may not is served what is here. An answer is waited for at most for a moment: what takes longer goes on, and
is there for whoever asks again.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from kit.clock import monotonic
from orchestrator.api.ecr.access import asker_of
from orchestrator.api.ecr.errors import (
    RepositoryNotFoundException,
    UnableToGetUpstreamImageException,
    UnableToGetUpstreamLayerException,
)
from orchestrator.api.ecr.finding import OTHER_DIGEST, Missed, find_named_repository, look_up
from orchestrator.call import Call
from orchestrator.errand import Errand
from registry.cache.access import import_refusal, is_due
from registry.cache.fetching import Fetched
from registry.cache.sources import source_of
from registry.errors import RegistryError
from registry.storage import StorageError
from registry.upstream import NotThere, Refused, Throttled, UpstreamError
from state.images import Image
from state.repositories import Repository
from state.store import StoreBusy, StoreUnavailable

T = TypeVar("T")
# Clients give up after a minute, and the threads that wait are the API's.
_WAITED = 20.0
_TROUBLE = (UpstreamError, RegistryError, StorageError, StoreBusy, StoreUnavailable, TimeoutError)


def pull_images(errand: Errand, request: Mapping[str, Any]) -> dict[str, Fetched | Missed]:
    """What an upstream had, by tag or digest, for those of ``imageIds`` that are to be asked for there."""
    name, cache = request["repositoryName"], errand.tools.cache
    ends_at = monotonic() + _WAITED
    asked = {each: cache.image(name, each) for each in errand.read(lambda call: _wanted(call, request))}
    return {reference: _outcome(future, ends_at) for reference, future in asked.items()}


def find_image(
    call: Call, repository: str, image_id: Mapping[str, Any], pulled: Mapping[str, Fetched | Missed]
) -> Image | Fetched | Missed:
    """What the image id leads to: to what was pulled, or else to what is here, or to why it cannot be pulled."""
    digest = image_id.get("imageDigest")
    found = pulled.get(image_id.get("imageTag") or digest or "")
    if isinstance(found, Fetched):
        return found if digest in (None, found.digest) else OTHER_DIGEST
    here = look_up(call, repository, image_id, body=True)
    return found if found is not None and isinstance(here, Missed) else here


def find_pulled_repository(
    call: Call, request: Mapping[str, Any], pulled: Mapping[str, Fetched | Missed]
) -> Repository:
    """The repository; raises why there is none, which may be that nothing could be pulled into it."""
    try:
        return find_named_repository(call, request)
    except RepositoryNotFoundException:
        for found in pulled.values():
            if isinstance(found, Missed) and found.code != "ImageNotFound":
                raise UnableToGetUpstreamImageException(found.reason) from None
        raise


def pull_layer(errand: Errand, name: str, digest: str) -> bool:
    """Have a layer that is not here pulled through; False where there is none to be had that way.

    Raises UnableToGetUpstreamLayerException.
    """

    def may(call: Call) -> bool:
        return source_of(call.session, name) is not None and _may_import(call, name)

    if not errand.read(may):
        return False
    try:
        errand.tools.cache.blob(name, digest).result(_WAITED)
    except NotThere:
        return False
    except _TROUBLE as trouble:
        raise UnableToGetUpstreamLayerException(_reason(trouble)) from None
    return True


def _wanted(call: Call, request: Mapping[str, Any]) -> list[str]:
    """The references to ask the upstream for: a tag, or without one a digest."""
    name = request["repositoryName"]
    try:
        find_named_repository(call, request)
    except RepositoryNotFoundException:
        # It is made by the first pull, unless it is one of another registry.
        if request.get("registryId") not in (None, call.settings.account):
            raise
    if source_of(call.session, name) is None or not _may_import(call, name):
        return []
    wanted: dict[str, None] = {}
    for image_id in request["imageIds"]:
        found = look_up(call, name, image_id)
        reference = image_id.get("imageTag") or image_id.get("imageDigest")
        if isinstance(found, Missed):
            asks = found.code == "ImageNotFound"
        else:
            asks = found.status == "ACTIVE" and is_due(call.session, found, reference, now=call.now)
        if asks:
            wanted[reference] = None
    return list(wanted)


def _may_import(call: Call, name: str) -> bool:
    return import_refusal(call.session, asker_of(call), name, arns=call.arns, now=call.now) is None


def _outcome(future: "Future[Fetched]", ends_at: float) -> Fetched | Missed:
    try:
        return future.result(max(0.0, ends_at - monotonic()))
    except _TROUBLE as trouble:
        match trouble:
            case NotThere():
                code = "ImageNotFound"
            case Refused():
                code = "UpstreamAccessDenied"
            case Throttled():
                code = "UpstreamTooManyRequests"
            case _:
                code = "UpstreamUnavailable"
        return Missed(code=code, reason=_reason(trouble))


def _reason(trouble: BaseException) -> str:
    return str(trouble) or "It is still being fetched; ask again."
