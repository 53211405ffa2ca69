"""``berth registry refresh`` and ``credentials``, on the store of a registry that runs beside them."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.files import read_or_create
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.app import build_parts
from orchestrator.cli import main
from registry.credentials import NoCredentials, open_login
from state.images import get_tag
from state.store import Store
from tests.conformance.cache.conftest import add_rule
from tests.support.registry import RegistryClient, running_registry
from tests.support.upstream import Upstream

NAME = "hub/library/tool"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/hub"


@pytest.fixture
def beside(upstream: Upstream, tmp_path: Path) -> Iterator[RegistryClient]:
    build_parts(Settings(data=tmp_path)).store.close()
    with running_registry(tmp_path) as running:
        add_rule(running, upstream)
        yield running


def berth(directory: Path, *words: str) -> int:
    return main(["registry", *words, "--data", str(directory)])


def test_refresh_fetches_what_is_not_here_and_what_has_moved(
    beside: RegistryClient, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = upstream.add_image("library/tool", "v1", b"first")
    assert berth(tmp_path, "refresh", f"{NAME}:v1") == 0
    assert f"{NAME}:v1 is {first}" in capsys.readouterr().out
    assert berth(tmp_path, "refresh", f"{NAME}:v1") == 0
    assert "as before" in capsys.readouterr().out
    second = upstream.add_image("library/tool", "v1", b"second")
    assert berth(tmp_path, "refresh", f"{NAME}:v1") == 0
    tag = beside.store.read(lambda session: get_tag(session, NAME, "v1"))
    assert tag is not None
    assert tag.digest == second


@pytest.mark.parametrize(
    ("image", "code"),
    [(f"{NAME}:none", "MANIFEST_UNKNOWN"), ("other/tool:v1", "NAME_UNKNOWN"), ("nonsense", "REPOSITORY:TAG")],
)
def test_refresh_tells_what_went_wrong(
    beside: RegistryClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], image: str, code: str
) -> None:
    assert berth(tmp_path, "refresh", image) != 0
    assert code in capsys.readouterr().err


def test_refresh_is_whole_or_fails(
    beside: RegistryClient, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.add_image("library/tool", "v1", b"first")
    for path in [each for each in upstream.things if "/blobs/" in each]:
        upstream.things[path] = ("application/octet-stream", b"other")
    assert berth(tmp_path, "refresh", f"{NAME}:v1") != 0
    assert "UNAVAILABLE" in capsys.readouterr().err
    assert beside.store.read(lambda session: get_tag(session, NAME, "v1")) is None


def test_credentials_are_kept_sealed_until_they_are_removed(
    beside: RegistryClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n"))
    assert berth(tmp_path, "credentials", "set", "hub", "--username", "me") == 0
    assert capsys.readouterr().out.strip() == ARN
    secrets = SecretBox(read_or_create(tmp_path / "master-key", "").strip())
    assert _login(beside.store, secrets) == "from stdin"
    monkeypatch.setenv("BERTH_UPSTREAM_PASSWORD", "from the environment")
    assert berth(tmp_path, "credentials", "set", "hub", "--username", "me") == 0
    assert _login(beside.store, secrets) == "from the environment"
    assert berth(tmp_path, "credentials", "list") == 0
    shown = capsys.readouterr().out
    assert ARN in shown
    assert "environment" not in shown
    assert b"from the environment" not in b"".join(path.read_bytes() for path in tmp_path.glob("berth.db*"))
    assert berth(tmp_path, "credentials", "remove", "hub") == 0
    with pytest.raises(NoCredentials):
        _login(beside.store, secrets)
    assert berth(tmp_path, "credentials", "remove", "hub") != 0


@pytest.mark.parametrize(("name", "user"), [("a b", "me"), ("hub", "me:you"), ("hub", "")])
def test_what_cannot_be_credentials_is_refused(
    beside: RegistryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, user: str
) -> None:
    monkeypatch.setenv("BERTH_UPSTREAM_PASSWORD", "x")
    assert berth(tmp_path, "credentials", "set", name, "--username", user) != 0


def test_credentials_that_a_rule_names_stay(
    beside: RegistryClient, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTH_UPSTREAM_PASSWORD", "x")
    assert berth(tmp_path, "credentials", "set", "hub", "--username", "me") == 0
    add_rule(beside, upstream, prefix="other", credential_arn=ARN)
    assert berth(tmp_path, "credentials", "remove", "hub") != 0


def _login(store: Store, secrets: SecretBox) -> str:
    return store.read(lambda session: open_login(session, secrets, ARN)).password
