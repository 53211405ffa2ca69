"""The ECR service on the wire; every file beside this one adds its noun's operations to it."""

from kit.aws.service import Service
from orchestrator.api.ecr.access import authorize

ecr = Service("ecr", authorize=authorize)
