"""Every operation that is built: importing this binds them all to their services."""

import importlib
import pkgutil

import orchestrator.api
from kit.aws.service import Service
from orchestrator.api.batch.wire import batch
from orchestrator.api.ecr.wire import ecr
from orchestrator.api.ecs.wire import ecs
from orchestrator.api.logs.wire import logs
from orchestrator.api.scheduler.wire import scheduler
from orchestrator.api.secretsmanager.wire import secretsmanager
from orchestrator.api.ssm.wire import ssm
from orchestrator.api.sts.wire import sts

SERVICES: tuple[Service, ...] = (ecs, ecr, batch, logs, scheduler, secretsmanager, ssm, sts)

# A new file with operations needs no list to be put on: every module of the API is imported.
for _module in pkgutil.walk_packages(orchestrator.api.__path__, "orchestrator.api."):
    importlib.import_module(_module.name)
