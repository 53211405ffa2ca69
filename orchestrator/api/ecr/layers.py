"""Layers over the ECR API: which are here, and where to download one."""

from typing import Any
from urllib.parse import quote

from kit.aws.errors import InvalidParameterException
from orchestrator.api.ecr.errors import LayersNotFoundException
from orchestrator.api.ecr.finding import find_named_repository
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
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


@ecr.operation("GetDownloadUrlForLayer")
def get_download_url_for_layer(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """A link that needs no further credentials and reads this one layer for an hour."""
    repository, digest = find_named_repository(call, request), request["layerDigest"]
    if not is_digest(digest):
        raise InvalidParameterException("Invalid parameter at 'layerDigest' failed to satisfy constraint: 'digest'")
    if get_blob(call.session, repository.name, digest) is None:
        raise LayersNotFoundException(
            f"The layer with digest '{digest}' does not exist within the repository with name "
            f"'{repository.name}' in the registry with id '{call.settings.account}'"
        )
    path = f"/v2/{repository.name}/blobs/{digest}"
    token, _ = issue_token(
        call.secrets,
        access_key_id=call.caller.access_key_id,
        principal_arn=call.caller.principal_arn,
        now=call.now,
        only_path=path,
    )
    return {"downloadUrl": f"{call.settings.registry_url}{path}?token={quote(token)}", "layerDigest": digest}
