"""Scans as the API shows them: a status, counts, and findings in the forms of basic and of enhanced scanning."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.call import Call
from registry.scanning.packages import RPM
from registry.scanning.rules import CONTINUOUS, ENHANCED, Frequency
from state.images import Image
from state.scans import ImageScan, ScanFinding

_MANAGERS = {"deb": "OS", "apk": "OS", "rpm": "OS", "pypi": "PYTHON", "npm": "NPM"}
# ECR's name of a package manager's packages, and lengths of its attributes.
_LONGEST_VALUE = 256


def render_scan_status(scan: ImageScan, frequency: Frequency) -> dict[str, Any]:
    """``imageScanStatus``."""
    if scan.due_at is not None and scan.completed_at is None:
        waiting = scan.kind == ENHANCED and scan.claim is None
        return {"status": "PENDING" if waiting else "IN_PROGRESS"}
    if scan.status == "COMPLETE" and frequency.name == CONTINUOUS:
        return {"status": "ACTIVE", "description": scan.description or "Continuous scan is selected for image."}
    if scan.due_at is not None:
        return {"status": "IN_PROGRESS"}
    description = scan.description or "The scan was completed successfully."
    return {"status": scan.status, "description": description}


def render_scans(scans: Mapping[str, ImageScan], frequency: Frequency) -> dict[str, dict[str, Any]]:
    """What DescribeImages tells of scans, by digest."""
    return {
        digest: {
            "imageScanStatus": render_scan_status(scan, frequency),
            "imageScanFindingsSummary": render_summary(scan),
        }
        for digest, scan in scans.items()
    }


def render_summary(scan: ImageScan) -> dict[str, Any] | None:
    """``imageScanFindingsSummary``; None where no scan has told anything yet."""
    if scan.completed_at is None or scan.status != "COMPLETE":
        return None
    summary = {"imageScanCompletedAt": scan.completed_at, "findingSeverityCounts": scan.counts}
    return summary if scan.knowledge_at is None else {**summary, "vulnerabilitySourceUpdatedAt": scan.knowledge_at}


def render_finding(row: ScanFinding) -> dict[str, Any]:
    """One of ``findings``."""
    said = row.document
    cvss = said["cvss"] or {}
    attributes = {
        "package_version": said["version"],
        "package_name": said["package"],
        "fixed_in_version": said["fixed"],
        f"CVSS{cvss.get('version')}_VECTOR": cvss.get("vector"),
        f"CVSS{cvss.get('version')}_SCORE": str(cvss["score"]) if cvss else None,
        "package_path": said["path"],
    }
    return {
        "name": row.name,
        "description": said["description"],
        "uri": said["uri"],
        "severity": row.severity,
        "attributes": [{"key": key, "value": value[:_LONGEST_VALUE]} for key, value in attributes.items() if value],
    }


def render_enhanced(call: Call, image: Image, tags: Sequence[str], scan: ImageScan, row: ScanFinding) -> dict[str, Any]:
    """One of ``enhancedFindings``, in the form of Amazon Inspector. Its ARN names what no Inspector knows."""
    said, cvss = row.document, row.document["cvss"]
    key = f"{image.repository}@{image.digest}/{row.name}/{said['package']}/{said['version']}"
    scored = {"scoringVector": cvss["vector"], "version": str(cvss["version"])} if cvss else {}
    details = {
        "cvss": [{**scored, "baseScore": cvss["score"], "source": "OSV"}] if cvss else [],
        "referenceUrls": list(said["references"]),
        "relatedVulnerabilities": [each for each in said["aliases"] if each != row.name],
        "source": "OSV",
        "sourceUrl": said["uri"],
        "vendorCreatedAt": _instant(said["published"]),
        "vendorUpdatedAt": _instant(said["modified"]),
        "vendorSeverity": row.severity,
        "vulnerabilityId": row.name,
        "vulnerablePackages": [_present(_package(said))],
    }
    finding = {
        "awsAccountId": call.settings.account,
        "description": said["description"],
        "findingArn": call.arns.of("inspector2", f"finding/{hashlib.sha256(key.encode()).hexdigest()[:32]}"),
        "firstObservedAt": row.first_seen_at,
        "lastObservedAt": scan.completed_at,
        "packageVulnerabilityDetails": _present(details),
        "remediation": {"recommendation": {"text": _advice(said)}},
        "resources": [_resource(call, image, tags)],
        "score": cvss["score"] if cvss else None,
        "scoreDetails": {"cvss": {**scored, "score": cvss["score"], "scoreSource": "OSV"}} if cvss else None,
        "severity": row.severity,
        "status": "ACTIVE",
        "title": f"{row.name} - {said['package']}",
        "type": "PACKAGE_VULNERABILITY",
        "updatedAt": scan.completed_at,
        "fixAvailable": "YES" if said["fixed"] else "NO",
    }
    return _present(finding)


def _package(said: dict[str, Any]) -> dict[str, Any]:
    version, epoch, release = said["version"], None, None
    if said["type"] == RPM:
        head, colon, rest = version.partition(":")
        epoch, version = (int(head), rest) if colon and head.isdigit() else (None, version)
        version, _, release = version.partition("-")
    return {
        "arch": said["arch"] or None,
        "epoch": epoch,
        "release": release or None,
        "filePath": said["path"] or None,
        "name": said["package"],
        "packageManager": _MANAGERS.get(said["type"], "OTHER"),
        "sourceLayerHash": said["layer"] or None,
        "version": version,
        "fixedInVersion": said["fixed"],
    }


def _resource(call: Call, image: Image, tags: Sequence[str]) -> dict[str, Any]:
    about = {
        "imageHash": image.digest,
        "imageTags": list(tags),
        "pushedAt": image.pushed_at,
        "registry": call.settings.account,
        "repositoryName": image.repository,
    }
    return {
        "details": {"awsEcrContainerImage": about},
        "id": call.arns.of("ecr", f"repository/{image.repository}/{image.digest}"),
        "type": "AWS_ECR_CONTAINER_IMAGE",
    }


def _advice(said: dict[str, Any]) -> str:
    fixed = said["fixed"]
    return f"Update {said['package']} to {fixed}." if fixed else "No version is known in which it is fixed."


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in members.items() if value is not None}
