"""Secrets Manager: secrets, their versions and labels, tags and random passwords. Importing this binds all of it."""

from orchestrator.api.secretsmanager import passwords, secret_lists, secret_values, secrets, tags, versions
from orchestrator.api.secretsmanager.wire import secretsmanager

__all__ = ["passwords", "secret_lists", "secret_values", "secrets", "secretsmanager", "tags", "versions"]
