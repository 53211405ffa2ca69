"""Scanning over the ECR API: when images are scanned, asking for a scan, and what scans found.

What differs from AWS: findings are of language packages too, in basic scanning as in enhanced; and a scan that could
now find something else (the operator has imported other advisories since) is not refused for the day's quota.
"""

from datetime import timedelta
from typing import Any

from kit.aws.errors import InvalidParameterException, ValidationException
from kit.aws.paging import decode_token, encode_token, scope_of
from orchestrator.api.ecr.errors import (
    ImageArchivedException,
    LimitExceededException,
    ScanNotFoundException,
    UnsupportedImageTypeException,
)
from orchestrator.api.ecr.finding import find_named_image, find_named_repository
from orchestrator.api.ecr.scan_view import render_enhanced, render_finding, render_scan_status, render_summary
from orchestrator.api.ecr.wire import ecr
from orchestrator.call import Call
from registry.scanning.findings import knowledge_of
from registry.scanning.rules import (
    BASIC,
    CONTINUOUS,
    ENHANCED,
    IMAGE_CONFIGS,
    MANUAL,
    continuous_repositories,
    frequency_of,
    is_scanned,
    scanning_rules,
)
from state.images import tags_of
from state.registry_rules import SCANNING, put_rules
from state.repositories import get_repository
from state.scans import (
    ImageScan,
    ask_for_scan,
    ask_for_scans,
    count_scans_asked_since,
    get_scan,
    list_findings,
)
from state.vulnerabilities import current_bundles

_PAGE = 100
_DAY = timedelta(hours=24)
_MOST_A_DAY = 100_000
_MOST_NUMBER = 2**31


@ecr.operation("PutImageScanningConfiguration")
def put_image_scanning_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Say whether images are scanned when they are pushed; images that are here stay as they are."""
    repository = find_named_repository(call, request)
    repository.scanning = {"scanOnPush": bool(request["imageScanningConfiguration"].get("scanOnPush"))}
    return {
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "imageScanningConfiguration": repository.scanning,
    }


@ecr.operation("PutRegistryScanningConfiguration")
def put_registry_scanning_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Say for the whole registry which repositories' images are scanned when."""
    kind, rules = request.get("scanType") or BASIC, request.get("rules") or []
    frequencies = [rule["scanFrequency"] for rule in rules]
    if len(set(frequencies)) < len(frequencies):
        raise InvalidParameterException("Invalid parameter at 'rules': each scan frequency may be given once")
    refused = CONTINUOUS if kind == BASIC else MANUAL
    if refused in frequencies:
        raise InvalidParameterException(
            f"Invalid parameter at 'rules': the scan frequency {refused} does not go with the scan type {kind}"
        )
    document = {"scanType": kind, "rules": rules}
    put_rules(call.session, SCANNING, document, now=call.now)
    call.session.flush()
    watched = continuous_repositories(call.session)
    if watched:
        ask_for_scans(call.session, watched, ENHANCED, media_types=IMAGE_CONFIGS, now=call.now)
        call.session.wake("scans")
    return {"registryScanningConfiguration": document}


@ecr.operation("GetRegistryScanningConfiguration")
def get_registry_scanning_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The registry's configuration; without one, basic scanning and no rules."""
    return {"registryId": call.settings.account, "scanningConfiguration": scanning_rules(call.session)}


@ecr.operation("BatchGetRepositoryScanningConfiguration")
def batch_get_repository_scanning_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """What the configurations come to for each repository."""
    found, failures = [], []
    for name in dict.fromkeys(request["repositoryNames"]):
        repository = get_repository(call.session, name)
        if repository is None:
            failures.append(
                {
                    "repositoryName": name,
                    "failureCode": "REPOSITORY_NOT_FOUND",
                    "failureReason": f"The repository with name '{name}' does not exist in the registry with id "
                    f"'{call.settings.account}'",
                }
            )
            continue
        frequency = frequency_of(call.session, repository)
        found.append(
            {
                "repositoryArn": call.arns.of("ecr", f"repository/{name}"),
                "repositoryName": name,
                "scanOnPush": frequency.on_push,
                "scanFrequency": frequency.name,
                "appliedScanFilters": list(frequency.filters),
            }
        )
    return {"scanningConfigurations": found, "failures": failures}


@ecr.operation("StartImageScan")
def start_image_scan(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Have an image scanned, once a day unless another scan would find something else."""
    repository, image = find_named_image(call, request)
    if scanning_rules(call.session)["scanType"] == ENHANCED:
        raise ValidationException(
            "This feature is disabled: with enhanced scanning, images are scanned as the registry's rules say"
        )
    if not is_scanned(image):
        raise UnsupportedImageTypeException
    if image.status != "ACTIVE":
        raise ImageArchivedException
    scan = get_scan(call.session, image.repository, image.digest)
    if scan is not None and scan.asked_at > call.now - _DAY and not _is_worth_repeating(call, scan):
        raise LimitExceededException("The scan quota per image has been exceeded. Wait and try again.")
    if count_scans_asked_since(call.session, call.now - _DAY) >= _MOST_A_DAY:
        raise LimitExceededException("The scan quota of the registry has been exceeded. Wait and try again.")
    scan = ask_for_scan(call.session, image.repository, image.digest, BASIC, now=call.now)
    call.session.wake("scans")
    return {
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "imageId": _image_id(request, image.digest),
        "imageScanStatus": {"status": "IN_PROGRESS"},
    }


@ecr.operation("DescribeImageScanFindings")
def describe_image_scan_findings(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """How an image's scan stands and what it found, the worst first, a page at a time."""
    repository, image = find_named_image(call, request)
    scan = get_scan(call.session, image.repository, image.digest)
    if scan is None:
        raise ScanNotFoundException(
            f"Image scan does not exist for the image with '{{imageDigest:'{image.digest}', "
            f"imageTag:'{request['imageId'].get('imageTag', 'null')}'}}' in the repository with name "
            f"'{repository.name}' in the registry with id '{call.settings.account}'"
        )
    answer: dict[str, Any] = {
        "registryId": call.settings.account,
        "repositoryName": repository.name,
        "imageId": _image_id(request, image.digest),
        "imageScanStatus": render_scan_status(scan, frequency_of(call.session, repository)),
    }
    # A page goes on in the findings it began in.
    scope = scope_of("DescribeImageScanFindings", image=[image.repository, image.digest], at=scan.completed_at)
    after, limit = _start(request.get("nextToken"), scope), request.get("maxResults") or _PAGE
    summary = render_summary(scan)
    if summary is None:
        return answer
    rows = list_findings(call.session, image.repository, image.digest, after=after, limit=limit + 1)
    if len(rows) > limit:
        answer["nextToken"] = encode_token(rows[limit - 1].number, scope=scope)
    if scan.kind == ENHANCED:
        tags = tags_of(call.session, image.repository, [image.digest]).get(image.digest, [])
        shown = {"enhancedFindings": [render_enhanced(call, image, tags, scan, row) for row in rows[:limit]]}
    else:
        shown = {"findings": [render_finding(row) for row in rows[:limit]]}
    answer["imageScanFindings"] = {**summary, **shown}
    return answer


def _is_worth_repeating(call: Call, scan: ImageScan) -> bool:
    """Whether a scan that has ended could end otherwise now."""
    if scan.due_at is not None:
        return False
    if scan.status in ("FAILED", "FINDINGS_UNAVAILABLE", "IMAGE_ARCHIVED"):
        return True
    current = knowledge_of(bundle.id for bundle in current_bundles(call.session))
    return scan.knowledge.startswith("osv:") and scan.knowledge != current


def _start(token: str | None, scope: str) -> int:
    if not token:
        return 0
    after = decode_token(token, scope=scope)
    if not isinstance(after, int) or not 0 <= after < _MOST_NUMBER:
        raise InvalidParameterException("The specified nextToken is not valid for this request.")
    return after


def _image_id(request: dict[str, Any], digest: str) -> dict[str, Any]:
    tag = request["imageId"].get("imageTag")
    return {"imageDigest": digest, "imageTag": tag} if tag is not None else {"imageDigest": digest}
