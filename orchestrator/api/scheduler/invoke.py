"""Invoking a target: the same handlers that answer the API, in the transaction of the schedule's firing."""

from kit.aws.sigv4 import Caller
from kit.clock import Clock
from kit.ids import Arns, last_part
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.api.ecs.errors import NoContainerInstances
from orchestrator.api.scheduler.errors import TargetUnavailable
from orchestrator.api.scheduler.targets import read_aim
from orchestrator.call import Call
from scheduler.fleets import Fleets
from scheduler.loops.invocation import Invocation, Invoke
from state.store import Session


def make_invoke(settings: Settings, secrets: SecretBox, clock: Clock, *, fleets: Fleets | None = None) -> Invoke:
    """What the schedules loop calls targets with. It raises AwsError when the target does not take the call."""
    arns = Arns(settings.account, settings.region)
    fleets = fleets or Fleets()

    def invoke(session: Session, invocation: Invocation) -> None:
        aim = read_aim(invocation)
        role = last_part(str(invocation.target.get("RoleArn", "scheduler")))
        call = Call(
            session=session,
            caller=Caller(
                access_key_id="",
                principal_arn=f"arn:aws:sts::{settings.account}:assumed-role/{role}/{invocation.token}",
                account=settings.account,
            ),
            now=clock.now(),
            request_id=invocation.token,
            seed=int(invocation.token[-8:], 16),
            arns=arns,
            settings=settings,
            secrets=secrets,
            fleets=fleets,
        )
        try:
            answer = aim.service.operations[aim.operation].handler(call, aim.request) or {}
        except NoContainerInstances as error:
            # A caller's mistake when a person makes the call; a schedule may wait for a host to join.
            raise TargetUnavailable(error.message) from error
        failures = answer.get("failures")
        if failures and not answer.get("tasks"):
            reasons = sorted({str(failure.get("reason")) for failure in failures})
            raise TargetUnavailable(f"No task could be placed: {', '.join(reasons)}")

    return invoke
