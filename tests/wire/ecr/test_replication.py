"""Replication between two registries on real sockets, asked for through boto3; the loop is stepped by hand."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from orchestrator.api.ecr import ecr as service
from registry.loops.replications import MOST_ATTEMPTS, ReplicationsLoop
from registry.replication.sending import CannotSend, Peer
from registry.upstream import Login, RegistryConnection, read_address
from state.loop import Leases
from state.replications import Replication, ReplicationPeer
from tests.support.loopback import Loopback
from tests.support.registry import OCI_INDEX, RegistryClient, descriptor, image_of, running_registry, sha256

THERE = {"region": "eu-west-1", "registryId": "210987654321"}


def configuration(*prefixes: str, **destination: str) -> dict[str, Any]:
    filters = [{"filter": prefix, "filterType": "PREFIX_MATCH"} for prefix in prefixes]
    rule: dict[str, Any] = {"destinations": [{**THERE, **destination}]}
    return {"rules": [{**rule, "repositoryFilters": filters} if filters else rule]}


class Pair:
    """A registry with its API and its loop, and another one that it may send to."""

    def __init__(self, ecr: Any, plane: Loopback, here: RegistryClient, there: RegistryClient) -> None:
        self.ecr, self.plane, self.here, self.there = ecr, plane, here, there
        self.password = there.token(key_id="sender", actions=["ecr:GetAuthorizationToken", "ecr:ReplicateImage"])
        self.reachable = True
        peer = ReplicationPeer(
            region=THERE["region"],
            account=THERE["registryId"],
            endpoint="http://there.test",
            access_key_id="AKIASENDER",
            secret=plane.secrets.encrypt("secret"),
            added_at=plane.clock.now(),
        )
        plane.store.transact(lambda session: session.add(peer))
        ecr.create_repository(repositoryName="team/web")
        self.loop = self.new_loop()

    def new_loop(self) -> ReplicationsLoop:
        """The loop as it is after a restart: it knows nobody yet."""
        return ReplicationsLoop(
            self.plane.store,
            self.plane.clock,
            Leases(self.plane.store, self.plane.clock, "one", seize=True),
            storage=self.here.storage,
            secrets=self.plane.secrets,
            reach=self.reach,
        )

    def reach(self, peer: Peer) -> RegistryConnection:
        assert (peer.access_key_id, peer.secret) == ("AKIASENDER", "secret")
        if not self.reachable:
            raise CannotSend("DestinationUnreachable", "nobody answers", for_ever=False)
        login = Login(username="AWS", password=self.password)
        return RegistryConnection(read_address(f"http://{self.there.address}"), login)

    def configure(self, *prefixes: str, **destination: str) -> None:
        self.ecr.put_replication_configuration(replicationConfiguration=configuration(*prefixes, **destination))

    def status(self, tag: str) -> list[tuple[str, str | None]]:
        found = self.ecr.describe_image_replication_status(repositoryName="team/web", imageId={"imageTag": tag})
        assert {each["region"] for each in found["replicationStatuses"]} <= {THERE["region"]}
        return [(each["status"], each.get("failureCode")) for each in found["replicationStatuses"]]

    def make_due(self, *, attempts: int | None = None) -> None:
        """Let the pause after an attempt be over."""
        given = {"due_at": self.plane.clock.now(), **({} if attempts is None else {"attempts": attempts})}
        self.plane.store.transact(lambda session: session.execute(update(Replication).values(**given)))

    def arrived(self, reference: str, repository: str = "team/web") -> bool:
        return self.there.call("GET", f"{repository}/manifests/{reference}").status_code == 200


@pytest.fixture
def pair(ecr: Any, ecr_plane: Loopback, registry: RegistryClient, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        (tmp_path / "there").mkdir()
        there = stack.enter_context(running_registry(tmp_path / "there"))
        yield Pair(ecr, ecr_plane, registry, there)


def test_a_push_arrives_with_its_layers_and_tags_and_says_so(pair: Pair) -> None:
    pair.configure()
    digest = pair.here.push_image("team/web", "v1", layer=b"x" * 3_000_000)
    assert pair.status("v1") == [("IN_PROGRESS", None)]
    pair.loop.step()
    assert pair.status("v1") == [("COMPLETE", None)]
    assert sha256(pair.there.call("GET", "team/web/manifests/v1").content) == digest
    assert pair.there.call("GET", f"team/web/blobs/{sha256(b'x' * 3_000_000)}").content == b"x" * 3_000_000


def test_a_list_arrives_with_its_images(pair: Pair) -> None:
    pair.configure()
    child = pair.here.push_image("team/web", layer=b"amd64")
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{**descriptor(b"", image_of()["mediaType"]), "digest": child, "size": 1}],
    }
    pair.here.push_manifest("team/web", index, "multi")
    pair.loop.step()
    assert pair.arrived("multi")
    assert pair.arrived(child)


def test_what_was_pushed_before_or_does_not_fit_the_filters_stays(pair: Pair) -> None:
    pair.here.push_image("team/web", "before")
    pair.configure("team/")
    pair.ecr.create_repository(repositoryName="other")
    pair.here.push_image("other", "v1")
    pair.loop.step()
    assert pair.status("before") == []
    assert not pair.arrived("before")
    assert not pair.arrived("v1", "other")


def test_deleting_here_deletes_nothing_there(pair: Pair) -> None:
    pair.configure()
    digest = pair.here.push_image("team/web", "v1")
    pair.loop.step()
    pair.ecr.batch_delete_image(repositoryName="team/web", imageIds=[{"imageDigest": digest}])
    pair.loop.step()
    assert pair.arrived("v1")


def test_a_destination_that_does_not_answer_is_tried_again_and_given_up_in_the_end(pair: Pair) -> None:
    pair.configure()
    pair.here.push_image("team/web", "v1")
    pair.reachable = False
    pair.loop.step()
    assert pair.status("v1") == [("IN_PROGRESS", None)]
    assert not pair.arrived("v1")
    pair.reachable = True
    pair.make_due()
    pair.loop.step()
    assert pair.status("v1") == [("COMPLETE", None)]
    pair.here.push_image("team/web", "v2", layer=b"another")
    pair.reachable, pair.loop = False, pair.new_loop()
    pair.make_due(attempts=MOST_ATTEMPTS - 1)
    pair.loop.step()
    assert pair.status("v2") == [("FAILED", "DestinationUnreachable")]


def test_a_sender_that_may_not_replicate_fails_at_once(pair: Pair) -> None:
    pair.password = pair.there.token(key_id="reader", actions=["ecr:BatchGetImage"])
    pair.configure()
    pair.here.push_image("team/web", "v1")
    pair.loop.step()
    assert pair.status("v1") == [("FAILED", "AccessDenied")]


def test_the_other_side_makes_the_repository_by_its_template_and_sends_nothing_on(pair: Pair) -> None:
    pair.there.add_template("team", "REPLICATION")
    pair.configure()
    pair.here.push_image("team/web", "v1")
    pair.loop.step()
    other = Loopback(str(pair.there.store.url), [service], settings=pair.plane.settings)
    client = other.client("ecr")
    (found,) = client.describe_repositories()["repositories"]
    assert (found["repositoryName"], found["imageTagMutability"]) == ("team/web", "IMMUTABLE")
    told = client.describe_image_replication_status(repositoryName="team/web", imageId={"imageTag": "v1"})
    assert told["replicationStatuses"] == []
    other.close()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (configuration(region="us-east-1", registryId="123456789012"), "to itself"),
        (configuration(region="mars-north-1"), "berth registry peers add mars-north-1"),
    ],
)
def test_destinations_that_cannot_be_reached_are_refused(pair: Pair, rules: dict[str, Any], said: str) -> None:
    with pytest.raises(pair.ecr.exceptions.InvalidParameterException, match=said):
        pair.ecr.put_replication_configuration(replicationConfiguration=rules)
    assert pair.ecr.describe_registry()["replicationConfiguration"] == {"rules": []}


def test_a_backfill_sends_what_was_there_before_and_tells_each_result(pair: Pair) -> None:
    digests = [pair.here.push_image("team/web", f"v{n}", layer=b"layer %d" % n) for n in range(3)]
    with pytest.raises(pair.ecr.exceptions.InvalidParameterException, match="none of the registry's"):
        pair.ecr.start_replication_backfill(destination=THERE)
    pair.configure()
    started = pair.ecr.start_replication_backfill(destination=THERE)
    assert started["status"] == "PREPARING"
    with pytest.raises(pair.ecr.exceptions.ReplicationBackfillInProgressException):
        pair.ecr.start_replication_backfill(destination=THERE)
    (told,) = pair.ecr.list_replication_backfills()["backfills"]
    assert "progress" not in told
    for _ in range(3):
        pair.loop.step()
    assert all(pair.arrived(digest) for digest in digests)
    asked = {"replicationBackfillId": started["replicationBackfillId"]}
    ended = pair.ecr.describe_replication_backfill_results(**asked, maxResults=2)
    assert (ended["status"], len(ended["results"])) == ("COMPLETE", 2)
    assert ended["progress"] == {
        "totalReplicationCount": 3,
        "completedReplicationCount": 3,
        "failedReplicationCount": 0,
        "failureCodes": [],
    }
    rest = pair.ecr.describe_replication_backfill_results(**asked, maxResults=2, nextToken=ended["nextToken"])
    tags = [each["imageId"]["imageTag"] for each in (*ended["results"], *rest["results"])]
    assert sorted(tags) == ["v0", "v1", "v2"]
    with pytest.raises(pair.ecr.exceptions.ReplicationBackfillInvalidStatusException):
        pair.ecr.stop_replication_backfill(**asked)


def test_a_stopped_backfill_sends_no_more(pair: Pair) -> None:
    for n in range(3):
        pair.here.push_image("team/web", f"v{n}", layer=b"layer %d" % n)
    pair.configure()
    asked = {"replicationBackfillId": pair.ecr.start_replication_backfill(destination=THERE)["replicationBackfillId"]}
    pair.reachable = False
    pair.loop.step()
    pair.loop.step()
    assert pair.ecr.stop_replication_backfill(**asked)["status"] == "STOPPING"
    pair.reachable = True
    pair.loop.step()
    assert pair.ecr.describe_replication_backfill_results(**asked)["status"] == "STOPPED"
    pair.make_due()
    pair.loop.step()
    assert not pair.arrived("v0")
    with pytest.raises(pair.ecr.exceptions.ReplicationBackfillNotFoundException):
        pair.ecr.stop_replication_backfill(replicationBackfillId="00000000-0000-4000-8000-000000000000")
