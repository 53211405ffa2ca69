"""Secrets Manager on the wire; every file beside this one adds its noun's operations to it."""

from kit.aws.service import Service

# A client token is the id of the version that it makes, so a repeat is told by the version. Answers and fingerprints
# of requests that hold secrets are kept nowhere.
secretsmanager = Service("secretsmanager", own_tokens=True)
