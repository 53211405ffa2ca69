"""Writers of one secret at the same time: every value is kept, and each label is on one version."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.loopback import Loopback

WRITERS = 8


def test_versions_put_at_the_same_time_leave_one_current_and_one_previous(berth: Loopback, client: Any) -> None:
    client.create_secret(Name="s", SecretString="0")
    clients = [berth.client("secretsmanager") for _ in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda one: one.put_secret_value(SecretId="s", SecretString="new"), clients))

    versions = client.list_secret_version_ids(SecretId="s", IncludeDeprecated=True)["Versions"]
    assert len(versions) == WRITERS + 1
    labels = sorted(label for version in versions for label in version.get("VersionStages", ()))
    assert labels == ["AWSCURRENT", "AWSPREVIOUS"]
    assert client.get_secret_value(SecretId="s")["SecretString"] == "new"


def test_of_those_who_create_one_secret_at_the_same_time_one_does(berth: Loopback, client: Any) -> None:
    clients = [berth.client("secretsmanager") for _ in range(WRITERS)]

    def create(one: Any) -> bool:
        try:
            one.create_secret(Name="s", SecretString="v")
        except one.exceptions.ResourceExistsException:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        assert sum(pool.map(create, clients)) == 1
    assert len(client.list_secret_version_ids(SecretId="s")["Versions"]) == 1
