"""Seeded storms over one service: whatever happens in whatever order, it never has too many tasks and comes to rest.

Two schedulers take turns, tasks crash, run and are stopped by people, hosts drain and come back, and the wishes change.
"""

from random import Random

import pytest

from tests.support.services import WEB, ServicesPlane

MAXIMUM_PERCENT = 150
MOVES = 40
MOST_ROUNDS = 40


class Storm:
    """One run; ``desired`` is what was last asked for."""

    def __init__(self, plane: ServicesPlane, seed: int) -> None:
        self.plane = plane
        self.chance = Random(seed)
        self.hosts = [plane.add_host(memory=256) for _ in range(2)]
        self.loops = [plane.loop, plane.make_loop("two")]
        self.desired = 2
        plane.register()
        plane.create(
            self.desired, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": MAXIMUM_PERCENT}
        )

    def blow(self) -> None:
        """One thing happens, then one of the schedulers looks."""
        self.chance.choice(
            (self.scale, self.deploy, self.force, self.run, self.run, self.crash, self.stop, self.drain, self.wait)
        )()
        before = len(self.plane.tasks())
        loop = self.chance.choice(self.loops)
        loop.step()
        ceiling = self.desired * MAXIMUM_PERCENT // 100
        assert len(self.plane.tasks()) <= max(before, ceiling)
        deployments = self.plane.service()["deployments"]
        assert [row["status"] for row in deployments].count("PRIMARY") == 1

    def scale(self) -> None:
        self.desired = self.chance.randrange(5)
        self.plane.update(desiredCount=self.desired)

    def deploy(self) -> None:
        self.plane.register({**WEB, "image": f"web:{self.chance.randrange(99)}"})
        self.plane.update(taskDefinition="web")

    def force(self) -> None:
        self.plane.update(forceNewDeployment=True)

    def run(self) -> None:
        tasks = self.plane.tasks()
        self.plane.run(self.chance.sample(tasks, self.chance.randint(0, len(tasks))))

    def crash(self) -> None:
        if tasks := self.plane.tasks():
            self.plane.crash([self.chance.choice(tasks)])

    def stop(self) -> None:
        if tasks := self.plane.tasks():
            self.plane.ecs.stop_task(task=self.chance.choice(tasks).id)

    def drain(self) -> None:
        status = self.chance.choice(("DRAINING", "ACTIVE"))
        host = self.chance.choice(self.hosts)
        self.plane.ecs.update_container_instances_state(containerInstances=[host], status=status)

    def wait(self) -> None:
        # Longer than a lease, so that the other scheduler may take over.
        self.plane.tick(seconds=self.chance.choice((1, 15, 60)))

    def calm_down(self) -> None:
        """Nothing goes wrong any more: within the longest pause everything that was asked for is there."""
        self.plane.ecs.update_container_instances_state(containerInstances=self.hosts, status="ACTIVE")
        for _ in range(MOST_ROUNDS):
            self.plane.tick(seconds=60)
            self.chance.choice(self.loops).step()
            self.plane.run()
            found = self.plane.service()
            done = found["deployments"][0]["rolloutState"] == "COMPLETED"
            if done and len(found["deployments"]) == 1 and found["runningCount"] == len(self.plane.tasks()):
                return
        raise AssertionError(f"no rest: {found['deployments']} {self.plane.messages()[-3:]}")


@pytest.mark.parametrize("seed", range(8))
def test_a_service_survives_a_storm(sqlite_url: str, seed: int) -> None:
    plane = ServicesPlane(sqlite_url)
    try:
        storm = Storm(plane, seed)
        for _ in range(MOVES):
            storm.blow()
        storm.calm_down()
        found = plane.service()
        assert (found["desiredCount"], found["runningCount"]) == (storm.desired, storm.desired)
        assert {task.deployment_id for task in plane.tasks()} <= {found["deployments"][0]["id"]}
        left = {task.container_instance_id for task in plane.tasks()}
        assert left <= set(storm.hosts)
    finally:
        plane.close()
