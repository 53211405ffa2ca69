"""``aws ecr get-login-password`` piped into ``docker login`` and ``skopeo login``, as AWS's own pages say."""

import json
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import Aws
from tests.support.berth import RunningBerth


@pytest.fixture
def password(berth: RunningBerth, clients: Path) -> str:
    return berth.run(clients / "aws", "ecr", "get-login-password").strip()


def test_docker_logs_in_pushes_and_pulls(aws: Aws, berth: RunningBerth, password: str, busybox_image: str) -> None:
    repository = aws("ecr", "create-repository", "--repository-name", "cli/docker")["repository"]
    name = f"{repository['repositoryUri']}:v1"
    login = ("docker", "login", "--username", "AWS", "--password-stdin", berth.registry)
    assert "Login Succeeded" in berth.run(*login, given=password)
    berth.run("docker", "tag", busybox_image, name)
    berth.run("docker", "push", name)
    berth.run("docker", "rmi", name)
    [image] = aws("ecr", "describe-images", "--repository-name", "cli/docker")["imageDetails"]
    assert image["imageTags"] == ["v1"]
    berth.run("docker", "pull", name)
    digests = json.loads(berth.run("docker", "inspect", "--format", "{{json .RepoDigests}}", name))
    assert f"{repository['repositoryUri']}@{image['imageDigest']}" in digests


def test_skopeo_logs_in_and_copies_both_ways(
    aws: Aws, berth: RunningBerth, password: str, image: str, tmp_path: Path
) -> None:
    aws("ecr", "create-repository", "--repository-name", "cli/skopeo")
    logins = ("--authfile", str(tmp_path / "auth.json"))
    login = ("skopeo", "login", *logins, "--tls-verify=false", "-u", "AWS", "--password-stdin", berth.registry)
    berth.run(*login, given=password)
    copy = ("skopeo", "copy", "--insecure-policy", *logins)
    berth.run(*copy, "--src-tls-verify=false", f"docker://{image}", f"dir:{tmp_path / 'image'}")
    target = f"docker://{berth.registry}/cli/skopeo:v1"
    berth.run(*copy, "--dest-tls-verify=false", f"dir:{tmp_path / 'image'}", target)
    original, copied = (
        aws("ecr", "describe-images", "--repository-name", name)["imageDetails"][0]["imageDigest"]
        for name in ("e2e/busybox", "cli/skopeo")
    )
    assert original == copied
