"""Systems Manager's Parameter Store: parameters, their versions, labels and tags. Importing this binds all of it."""

from orchestrator.api.ssm import labels, parameter_lists, parameters, reading, tags
from orchestrator.api.ssm.wire import ssm

__all__ = ["labels", "parameter_lists", "parameters", "reading", "ssm", "tags"]
