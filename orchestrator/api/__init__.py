"""The AWS API: one folder per service, one file per noun. Importing it binds every operation that is built."""

import importlib
import pkgutil

from kit.aws.service import Service
from orchestrator.api.batch.wire import batch
from orchestrator.api.ecr.wire import ecr
from orchestrator.api.ecs.wire import ecs
from orchestrator.api.logs.wire import logs
from orchestrator.api.scheduler.wire import scheduler
from orchestrator.api.sts.wire import sts

SERVICES: tuple[Service, ...] = (ecs, ecr, batch, logs, scheduler, sts)

# A new file with operations needs no list to be put on: every module below this folder is imported.
for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
