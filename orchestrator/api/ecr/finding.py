"""Finding what a request names: its repository, and images by digest, tag or both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.aws.errors import InvalidParameterException
from kit.aws.paging import decode_token
from orchestrator.api.ecr.access import asker_of
from orchestrator.api.ecr.errors import ImageNotFoundException, RepositoryNotFoundException, in_aws_words
from orchestrator.call import Call
from registry.images import find_repository
from registry.names import is_digest, is_name, is_tag
from registry.templates import create_on_push
from state.images import Image, get_image, get_tag
from state.repositories import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """An image id that leads to no image: AWS's failure code, and the reason for people."""

    code: str
    reason: str


OTHER_DIGEST = Missed(code="ImageTagDoesNotMatchDigest", reason="Invalid request parameters: tag does not match digest")


def find_named_repository(call: Call, request: Mapping[str, Any]) -> Repository:
    """The repository of ``repositoryName`` in ``registryId``; raises RepositoryNotFoundException."""
    name, account = request["repositoryName"], request.get("registryId") or call.settings.account
    if not is_name(name):
        raise InvalidParameterException("Invalid parameter at 'repositoryName' failed to satisfy constraint: 'name'")
    if account != call.settings.account:
        raise RepositoryNotFoundException(
            f"The repository with name '{name}' does not exist in the registry with id '{account}'"
        )
    with in_aws_words(name, account):
        return find_repository(call.session, name, account)


def check_registry(call: Call, request: Mapping[str, Any]) -> None:
    """Raise InvalidParameterException unless ``registryId`` is this registry's, where it is given."""
    account = request.get("registryId") or call.settings.account
    if account != call.settings.account:
        raise InvalidParameterException(f"There is no registry with id '{account}' here.")


def make_room_for(call: Call, request: Mapping[str, Any]) -> None:
    """Make the repository that is pushed to, where it is missing and a creation template says how."""
    name, account = request["repositoryName"], request.get("registryId") or call.settings.account
    if is_name(name) and account == call.settings.account:
        create_on_push(call.session, asker_of(call), name, arns=call.arns, now=call.now)


def look_up(call: Call, repository: str, image_id: Mapping[str, Any], *, body: bool = False) -> Image | Missed:
    """The image that ``imageDigest`` and ``imageTag`` name, either or both."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if digest is None and tag is None:
        return Missed(
            code="MissingDigestAndTag",
            reason="Invalid request parameters: both tag and digest cannot be null",
        )
    if digest is not None and not is_digest(digest):
        return Missed(
            code="InvalidImageDigest",
            reason="Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        )
    if tag is not None:
        if not is_tag(tag):
            return Missed(
                code="InvalidImageTag",
                reason="Invalid request parameters: image tag should satisfy the regex "
                "'[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'",
            )
        row = get_tag(call.session, repository, tag)
        if row is None:
            return Missed(code="ImageNotFound", reason="Requested image not found")
        if digest is not None and row.digest != digest:
            return OTHER_DIGEST
        digest = row.digest
    assert digest is not None
    image = get_image(call.session, repository, digest, body=body)
    return image or Missed(code="ImageNotFound", reason="Requested image not found")


def find_named_image(call: Call, request: Mapping[str, Any]) -> tuple[Repository, Image]:
    """The repository of ``repositoryName`` and its image of ``imageId``; raises what is not found."""
    repository = find_named_repository(call, request)
    return repository, find_image_of(call, repository, request["imageId"])


def find_image_of(call: Call, repository: Repository, image_id: Mapping[str, Any]) -> Image:
    """The image of a repository that must be there; raises ImageNotFoundException."""
    found = look_up(call, repository.name, image_id)
    if isinstance(found, Image):
        return found
    if found.code not in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
        raise InvalidParameterException(found.reason)
    raise ImageNotFoundException(
        f"The image with imageId {{imageDigest:'{image_id.get('imageDigest', 'null')}', "
        f"imageTag:'{image_id.get('imageTag', 'null')}'}} does not exist within the repository with name "
        f"'{repository.name}' in the registry with id '{call.settings.account}'"
    )


def page_start(token: str | None, scope: str) -> str | None:
    """The name or digest after which a page begins; raises InvalidParameterException."""
    if not token:
        return None
    after = decode_token(token, scope=scope)
    # A token is sealed but not secret, so what is in it is anybody's word.
    if not isinstance(after, str) or "\0" in after or not after.isprintable():
        raise InvalidParameterException("The specified nextToken is not valid for this request.")
    return after
