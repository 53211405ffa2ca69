"""Layers over the ECR API: which are here, and where to download one."""

from typing import Any
from urllib.parse import quote

from kit.aws.errors import InvalidParameterException
from orchestrator.api.ecr.errors import LayersNotFoundException
from orchestrator.api.ecr.finding import find_named_repository
from orchestrator.api.ecr.pulling import pull_layer
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from orchestrator.errand import Errand
from registry.access import issue_token
from registry.names import is_digest
from state.blobs import get_blob, linked_sizes, list_unused, revive_blobs


@ecr.operation("BatchCheckLayerAvailability", readonly=False)
def batch_check_layer_availability(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """For each digest whether the repository has it, and its size in bytes."""
    repository = find_named_repository(call, request)
    asked = list(dict.fromkeys(request["layerDigests"]))
    # Who hears that a layer is here does not push it, so the collector waits anew.
    if unused := list_unused(call.session, repository.name, filter(is_digest, asked)):
        revive_blobs(call.session, repository.name, unused)
    sizes = linked_sizes(call.session, repository.name, filter(is_digest, asked))
    layers, failures = [], []
    for digest in asked:
        if digest in sizes:
            layers.append({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": sizes[digest]})
        elif is_digest(digest):
            layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
        else:
            code = "InvalidLayerDigest" if digest else "MissingLayerDigest"
            failures.append(
                {"layerDigest": digest, "failureCode": code, "failureReason": "The layer digest is not valid"}
            )
    return {"layers": layers, "failures": failures}


@ecr.operation("GetDownloadUrlForLayer", outside=True)
def get_download_url_for_layer(errand: Errand, request: dict[str, Any]) -> dict[str, Any]:
    """A link that needs no further credentials and reads this one layer for an hour, also one that is arriving."""
    name, digest = request["repositoryName"], request["layerDigest"]

    def is_here(call: Call) -> bool:
        find_named_repository(call, request)
        if not is_digest(digest):
            raise InvalidParameterException("Invalid parameter at 'layerDigest' failed to satisfy constraint: 'digest'")
        return get_blob(call.session, name, digest) is not None

    if not errand.read(is_here) and not pull_layer(errand, name, digest):
        raise LayersNotFoundException(
            f"The layer with digest '{digest}' does not exist within the repository with name "
            f"'{name}' in the registry with id '{errand.tools.settings.account}'"
        )
    path = f"/v2/{name}/blobs/{digest}"
    token, _ = issue_token(
        errand.tools.secrets,
        access_key_id=errand.caller.access_key_id,
        principal_arn=errand.caller.principal_arn,
        now=errand.tools.clock.now(),
        only_path=path,
    )
    url = f"{errand.tools.settings.registry_url}{path}?token={quote(token)}"
    return {"downloadUrl": url, "layerDigest": digest}
