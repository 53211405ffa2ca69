"""Scanning through boto3: configured, asked for, followed, its findings paged. Images are pushed to a real socket."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from registry.loops.scans import MOST_ATTEMPTS, ScansLoop
from registry.scanning.limits import Limits
from state.images import Image
from state.registry_events import list_registry_events
from state.scans import ImageScan
from tests.support.loopback import Loopback
from tests.support.refusals import refused_code
from tests.support.registry import OCI_INDEX, RegistryClient, descriptor, image_of, sha256
from tests.support.scanning import MEDIUM, advisory, import_advisories, scan_all, scans_loop
from tests.unit.registry.scanning.archives import DEBIAN, apk, dpkg, layer

STATUS = "var/lib/dpkg/status"
BASH = "CVE-2026-1"
SUBJECT = "application/vnd.example.signature"


class Scanned:
    """A registry with its API, and its scans."""

    def __init__(self, ecr: Any, plane: Loopback, registry: RegistryClient, folder: Path) -> None:
        self.ecr, self.plane, self.registry, self.folder = ecr, plane, registry, folder
        ecr.create_repository(repositoryName="web", imageScanningConfiguration={"scanOnPush": True})
        self.loop = self.new_loop()

    def new_loop(self, **given: Any) -> ScansLoop:
        return scans_loop(self.plane.store, self.plane.clock, self.registry.storage, **given)

    def push(self, *packages: str, tag: str | None = "v1", repository: str = "web", more: Any = ()) -> str:
        """A Debian image with these packages."""
        said = {"etc/os-release": DEBIAN, STATUS: dpkg(*packages), **dict(more)}
        return self.registry.push_image(repository, tag, layer=layer(said))

    def learn(self, *advisories: Any, name: str = "osv") -> None:
        import_advisories(self.plane.store, self.plane.clock, self.folder, *advisories, name=name)

    def scan(self) -> None:
        scan_all(self.loop, self.plane.clock)

    def status(self, tag: str = "v1", repository: str = "web") -> tuple[str, str]:
        answer = self.ecr.describe_image_scan_findings(repositoryName=repository, imageId={"imageTag": tag})
        return answer["imageScanStatus"]["status"], answer["imageScanStatus"].get("description", "")

    def findings(self, tag: str = "v1", **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.ecr.describe_image_scan_findings(
            repositoryName="web", imageId={"imageTag": tag}, **given
        )
        return found

    def names(self, tag: str = "v1") -> list[str]:
        return [each["name"] for each in self.findings(tag)["imageScanFindings"]["findings"]]

    def start(self, tag: str = "v1") -> dict[str, Any]:
        answer: dict[str, Any] = self.ecr.start_image_scan(repositoryName="web", imageId={"imageTag": tag})
        return answer

    def detail(self, tag: str = "v1") -> dict[str, Any]:
        (detail,) = self.ecr.describe_images(repositoryName="web", imageIds=[{"imageTag": tag}])["imageDetails"]
        return dict(detail)

    def no_pauses(self) -> None:
        """As if the pauses between attempts were over."""
        self.plane.store.transact(lambda session: session.execute(update(ImageScan).values(claimed_until=None)))

    def a_day_later(self) -> None:
        """As if everything had been asked for a day earlier."""
        earlier = self.plane.clock.now() - timedelta(hours=25)
        self.plane.store.transact(lambda session: session.execute(update(ImageScan).values(asked_at=earlier)))


@pytest.fixture
def scanned(ecr: Any, ecr_plane: Loopback, registry: RegistryClient, tmp_path: Path) -> Iterator[Scanned]:
    yield Scanned(ecr, ecr_plane, registry, tmp_path)


def test_a_pushed_image_is_scanned_and_its_findings_are_told(scanned: Scanned) -> None:
    scanned.learn(
        advisory(BASH, "bash", fixed="5.2.15-3"),
        advisory("CVE-2026-2", "openssl", fixed=None, vector=MEDIUM),
        advisory("CVE-2026-3", "bash", fixed="5.2.15-2"),
        advisory("CVE-2026-4", "bash", fixed="6", ecosystem="Alpine:v3.19"),
    )
    digest = scanned.push("bash=5.2.15-2+b2<bash (5.2.15-2)", "libssl3=3.0.11-1<openssl")
    assert scanned.status()[0] == "IN_PROGRESS"
    assert scanned.detail()["imageScanStatus"] == {"status": "IN_PROGRESS"}
    scanned.scan()

    found = scanned.findings()
    assert found["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1, "MEDIUM": 1}
    assert f"{found['imageScanFindings']['vulnerabilitySourceUpdatedAt']:%Y-%m-%d}" == "2026-05-01"
    worst, other = found["imageScanFindings"]["findings"]
    assert (worst["name"], worst["severity"], worst["uri"]) == (BASH, "CRITICAL", f"https://advisories.test/{BASH}")
    attributes = {each["key"]: each["value"] for each in worst["attributes"]}
    assert attributes["package_name"] == "bash"
    assert attributes["package_version"] == "5.2.15-2"
    assert attributes["fixed_in_version"] == "5.2.15-3"
    assert attributes["CVSS3_SCORE"] == "9.8"
    assert (other["name"], other["severity"]) == ("CVE-2026-2", "MEDIUM")
    detail = scanned.detail()
    assert detail["imageScanStatus"]["status"] == "COMPLETE"
    assert detail["imageScanFindingsSummary"]["findingSeverityCounts"] == {"CRITICAL": 1, "MEDIUM": 1}

    events = scanned.plane.store.read(lambda session: [each.detail for each in list_registry_events(session)])
    (told,) = [each for each in events if "scan-status" in each]
    assert told == {
        "scan-status": "COMPLETE",
        "finding-severity-counts": {"CRITICAL": 1, "MEDIUM": 1},
        "repository-name": "web",
        "image-digest": digest,
        "image-tags": ["v1"],
    }


def test_the_bill_of_materials_is_beside_the_image_and_goes_with_it(scanned: Scanned) -> None:
    digest = scanned.push("bash=5.2.15-2")
    scanned.scan()
    (about,) = scanned.registry.call("GET", f"web/referrers/{digest}").json()["manifests"]
    assert about["artifactType"] == "application/vnd.cyclonedx+json"
    manifest = scanned.registry.call("GET", f"web/manifests/{about['digest']}").json()
    body = scanned.registry.call("GET", f"web/blobs/{manifest['layers'][0]['digest']}").json()
    assert body["bomFormat"] == "CycloneDX"
    assert "pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=debian-12" in [
        each.get("purl") for each in body["components"]
    ]
    scans = scanned.plane.store.read(lambda session: session.scalars(select(ImageScan.digest)).all())
    assert scans == [digest]

    scanned.ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageDigest": digest}])
    assert scanned.plane.store.read(lambda session: session.scalars(select(Image)).all()) == []
    scanned.ecr.delete_repository(repositoryName="web")


def test_without_knowledge_findings_are_unavailable_and_come_with_it(scanned: Scanned) -> None:
    scanned.push("bash=5.2.15-2")
    scanned.scan()
    status, why = scanned.status()
    assert status == "FINDINGS_UNAVAILABLE"
    assert "Debian:12 (1)" in why and "berth registry osv import" in why
    assert "imageScanFindings" not in scanned.findings()
    scanned.learn(advisory(BASH, "bash", fixed="6"))
    scanned.scan()
    assert scanned.status()[0] == "COMPLETE"
    assert scanned.names() == [BASH]


def test_findings_come_in_pages_that_end(scanned: Scanned) -> None:
    scanned.learn(*(advisory(f"CVE-2026-{number:03}", "bash", fixed="6") for number in range(25)))
    scanned.push("bash=5.2.15-2")
    scanned.scan()
    pages = scanned.ecr.get_paginator("describe_image_scan_findings").paginate(
        repositoryName="web", imageId={"imageTag": "v1"}, PaginationConfig={"PageSize": 10}
    )
    found = [[each["name"] for each in page["imageScanFindings"]["findings"]] for page in pages]
    assert [len(page) for page in found] == [10, 10, 5]
    assert sorted({name for page in found for name in page}) == [f"CVE-2026-{number:03}" for number in range(25)]
    token = scanned.findings(maxResults=3)["nextToken"]
    scanned.push("bash=5.2.15-2", tag="v2", more={"other": b""})
    scanned.scan()
    assert refused_code(scanned.findings, tag="v2", nextToken=token) == "InvalidParameterException"


def test_what_is_no_image_with_a_file_system_is_not_scanned(scanned: Scanned) -> None:
    digest = scanned.push("bash=5.2.15-2")
    subject = {"mediaType": image_of()["mediaType"], "digest": digest, "size": 1}
    scanned.registry.push_image("web", "signature", subject=subject, artifactType=SUBJECT)
    scanned.registry.push_image("web", digest.replace(":", "-") + ".sig", layer=b"a signature")
    child = {**descriptor(b"", image_of()["mediaType"]), "digest": digest, "size": 1}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}
    scanned.registry.push_manifest("web", index, "list")
    scanned.scan()
    assert len(scanned.plane.store.read(lambda session: session.scalars(select(ImageScan.digest)).all())) == 1
    for tag in ("signature", "list"):
        assert "imageScanStatus" not in scanned.detail(tag)
        assert refused_code(scanned.findings, tag=tag) == "ScanNotFoundException"
        assert refused_code(scanned.start, tag=tag) == "UnsupportedImageTypeException"


def test_images_that_cannot_be_read_say_why(scanned: Scanned) -> None:
    scanned.registry.push_image("web", "noise", layer=b"this is no layer at all" * 100)
    scanned.registry.push_image("web", "empty", layer=layer({"bin/program": b"x"}))
    bomb = layer({"etc/os-release": DEBIAN, STATUS: dpkg("bash=1"), "zeros": bytes(40_000_000)})
    scanned.registry.push_image("web", "bomb", layer=bomb)
    scan_all(scanned.new_loop(limits=Limits(ratio_from=1_000_000)), scanned.plane.clock)
    status, why = scanned.status("noise")
    assert status == "FAILED" and "no tar archive" in why
    status, why = scanned.status("empty")
    assert status == "UNSUPPORTED_IMAGE" and "operating system" in why
    status, why = scanned.status("bomb")
    assert status == "IMAGE_SIZE_EXCEEDED" and "compressed more than" in why


def test_a_layer_that_is_lost_is_told_after_the_attempts(scanned: Scanned) -> None:
    data = layer({"etc/os-release": DEBIAN, STATUS: dpkg("bash=1")})
    scanned.registry.push_image("web", "v1", layer=data)
    scanned.registry.storage.delete(sha256(data))
    scanned.scan()
    status, why = scanned.status()
    assert status == "FAILED" and sha256(data) in why


def test_a_scan_is_asked_for_once_a_day_unless_it_would_tell_more(scanned: Scanned) -> None:
    scanned.learn(advisory(BASH, "bash", fixed="6"))
    digest = scanned.push("bash=5.2.15-2", "curl=8")
    scanned.scan()
    assert refused_code(scanned.start) == "LimitExceededException"
    scanned.learn(advisory(BASH, "bash", fixed="6"), advisory("CVE-2026-9", "curl", fixed="9"))
    assert scanned.names() == [BASH]
    answer = scanned.start()
    assert answer["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert answer["imageScanStatus"] == {"status": "IN_PROGRESS"}
    assert refused_code(scanned.start) == "LimitExceededException"
    scanned.scan()
    assert sorted(scanned.names()) == [BASH, "CVE-2026-9"]
    scanned.a_day_later()
    assert scanned.start()["imageScanStatus"]["status"] == "IN_PROGRESS"


def test_a_repository_that_is_not_scanned_on_push_is_when_asked(scanned: Scanned) -> None:
    answer = scanned.ecr.put_image_scanning_configuration(
        repositoryName="web", imageScanningConfiguration={"scanOnPush": False}
    )
    assert answer["imageScanningConfiguration"] == {"scanOnPush": False}
    (repository,) = scanned.ecr.describe_repositories(repositoryNames=["web"])["repositories"]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": False}
    scanned.push("bash=5.2.15-2")
    assert refused_code(scanned.findings) == "ScanNotFoundException"
    scanned.start()
    scanned.scan()
    assert scanned.status()[0] == "FINDINGS_UNAVAILABLE"
    assert refused_code(scanned.start, tag="none") == "ImageNotFoundException"
    assert (
        refused_code(scanned.ecr.start_image_scan, repositoryName="none", imageId={"imageTag": "v1"})
        == "RepositoryNotFoundException"
    )


def test_the_registry_says_which_repositories_are_scanned_when(scanned: Scanned) -> None:
    ecr = scanned.ecr
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}
    ecr.create_repository(repositoryName="prod/api")
    filters = [{"filter": "prod*", "filterType": "WILDCARD"}]
    rules = [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": filters}]
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=rules)
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == {"scanType": "BASIC", "rules": rules}
    answer = ecr.batch_get_repository_scanning_configuration(repositoryNames=["prod/api", "web", "none"])
    by_name = {each["repositoryName"]: each for each in answer["scanningConfigurations"]}
    assert by_name["prod/api"]["scanFrequency"] == "SCAN_ON_PUSH"
    assert by_name["prod/api"]["appliedScanFilters"] == filters
    assert by_name["web"]["scanOnPush"] is True
    assert [each["failureCode"] for each in answer["failures"]] == ["REPOSITORY_NOT_FOUND"]
    scanned.push("bash=5.2.15-2", repository="prod/api")
    scanned.scan()
    assert scanned.status(repository="prod/api")[0] == "FINDINGS_UNAVAILABLE"
    wrong = [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": filters}]
    refusal = refused_code(ecr.put_registry_scanning_configuration, scanType="BASIC", rules=wrong)
    assert refusal == "InvalidParameterException"


def test_enhanced_scanning_goes_on_with_every_import(scanned: Scanned) -> None:
    everything = [{"filter": "*", "filterType": "WILDCARD"}]
    rules = [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": everything}]
    scanned.ecr.put_image_scanning_configuration(repositoryName="web", imageScanningConfiguration={"scanOnPush": False})
    digest = scanned.push("bash=5.2.15-2")
    scanned.learn(advisory(BASH, "bash", fixed="6"))
    scanned.ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=rules)
    assert scanned.status()[0] == "PENDING"
    scanned.scan()
    assert scanned.status()[0] == "ACTIVE"
    assert refused_code(scanned.start) == "ValidationException"
    (before,) = scanned.findings()["imageScanFindings"]["enhancedFindings"]
    assert before["type"] == "PACKAGE_VULNERABILITY" and before["fixAvailable"] == "YES" and before["score"] == 9.8
    details = before["packageVulnerabilityDetails"]
    assert details["vulnerabilityId"] == BASH
    assert details["vulnerablePackages"][0]["packageManager"] == "OS"
    (resource,) = before["resources"]
    assert resource["details"]["awsEcrContainerImage"]["imageHash"] == digest

    scanned.learn(advisory(BASH, "bash", fixed="6"), advisory("CVE-2026-9", "bash", fixed="6", vector=MEDIUM))
    scanned.scan()
    first, second = scanned.findings()["imageScanFindings"]["enhancedFindings"]
    assert first["firstObservedAt"] == before["firstObservedAt"] < second["firstObservedAt"]
    assert first["findingArn"] == before["findingArn"]


def test_packages_of_several_worlds_are_told_apart(scanned: Scanned) -> None:
    scanned.learn(
        advisory("GHSA-1", "requests", fixed="2.32.0", ecosystem="PyPI", aliases=["CVE-2026-5"]),
        advisory("GHSA-2", "left-pad", fixed="1.3.1", ecosystem="npm"),
        advisory("GHSA-3", "left-pad", fixed="9", ecosystem="PyPI"),
    )
    files = {
        "usr/lib/python3/dist-packages/requests-2.31.0.dist-info/METADATA": b"Name: requests\nVersion: 2.31.0\n\n",
        "app/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0"}',
    }
    scanned.push("bash=5", more=files)
    scanned.scan()
    assert sorted(scanned.names()) == ["CVE-2026-5", "GHSA-2"]
    status, why = scanned.status()
    assert status == "COMPLETE" and "Debian:12 (1)" in why


def test_an_archived_image_is_not_scanned(scanned: Scanned) -> None:
    digest = scanned.push("bash=5.2.15-2")
    scanned.ecr.update_image_storage_class(
        repositoryName="web", imageId={"imageDigest": digest}, targetStorageClass="ARCHIVE"
    )
    scanned.scan()
    assert scanned.status()[0] == "IMAGE_ARCHIVED"
    assert refused_code(scanned.start) == "ImageArchivedException"
    scanned.ecr.update_image_storage_class(
        repositoryName="web", imageId={"imageDigest": digest}, targetStorageClass="STANDARD"
    )
    scanned.start()
    scanned.scan()
    assert scanned.status()[0] == "FINDINGS_UNAVAILABLE"


def test_a_scanner_of_ones_own_is_asked_where_a_setting_names_it(
    scanned: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"VulnerabilityID": "CVE-2026-7", "PkgName": "bash", "InstalledVersion": "5.2.15-2", "Severity": "HIGH"}
    trivy = tmp_path / "programs" / "trivy"
    trivy.parent.mkdir()
    results = json.dumps({"Results": [{"Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [answer]}]})
    trivy.write_text(f"#!/bin/sh\necho '{results}'\n")
    monkeypatch.setenv("PATH", str(trivy.parent), prepend=os.pathsep)
    scanned.loop = scanned.new_loop(registry_scanner="trivy")
    scanned.push("bash=5.2.15-2")
    for _ in range(MOST_ATTEMPTS):
        # It is not executable yet: the scan is put off, and then given up.
        scanned.scan()
        scanned.no_pauses()
    status, why = scanned.status()
    assert status == "FAILED" and "trivy is not on the PATH" in why
    trivy.chmod(0o755)
    scanned.start()
    scanned.scan()
    assert scanned.status()[0] == "COMPLETE"
    assert scanned.names() == ["CVE-2026-7"]
    assert scanned.detail()["imageScanFindingsSummary"]["findingSeverityCounts"] == {"HIGH": 1}


def test_a_push_by_the_api_is_scanned_too(scanned: Scanned) -> None:
    digest = scanned.push("musl=1", tag="v1", more={"lib/apk/db/installed": apk("musl=1.2.4-r2")})
    body = scanned.registry.call("GET", f"web/manifests/{digest}").text
    scanned.ecr.batch_delete_image(repositoryName="web", imageIds=[{"imageDigest": digest}])
    scanned.ecr.put_image(repositoryName="web", imageManifest=body, imageTag="again")
    scanned.scan()
    assert scanned.status("again")[0] == "FINDINGS_UNAVAILABLE"
