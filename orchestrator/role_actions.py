"""What a role may do: what was put for it (``berth role put``), or else what every role may.

There is no IAM here yet: a role is its name and the actions its tasks may call.
"""

from collections.abc import Sequence

from state.role_sessions import APPLICATION, EXECUTION
from state.roles import get_role
from state.store import Session

PULL_ACTIONS = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    # An image may come through a cache, whose first pull brings it in.
    "ecr:BatchImportUpstreamImage",
    "ecr:CreateRepository",
)
LOG_ACTIONS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
# A task reads everything but the values of secrets, writes logs, and protects itself.
TASK_ACTIONS = (
    "*:Describe*",
    "*:List*",
    "batch:Get*",
    "ecr:Get*",
    "ecs:Get*",
    "logs:Get*",
    "logs:Filter*",
    "scheduler:Get*",
    *LOG_ACTIONS,
    "ecs:UpdateTaskProtection",
    "sts:GetCallerIdentity",
)
# What an agent does for a task before it runs, and nothing else: pull its images, resolve its secrets, write its logs.
EXECUTION_ACTIONS = (
    *PULL_ACTIONS,
    *LOG_ACTIONS,
    "secretsmanager:GetSecretValue",
    "ssm:GetParameters",
    "sts:GetCallerIdentity",
)
DEFAULTS = {APPLICATION: TASK_ACTIONS, EXECUTION: EXECUTION_ACTIONS}


def actions_of(session: Session, role_name: str, kind: str) -> Sequence[str]:
    """What a session of the role may do."""
    role = get_role(session, role_name)
    return DEFAULTS[kind] if role is None else role.actions
