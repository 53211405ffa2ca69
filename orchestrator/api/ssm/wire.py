"""Systems Manager on the wire; every file beside this one adds its noun's operations to it."""

from kit.aws.service import Service

# Fingerprints of requests that hold secrets are kept nowhere.
ssm = Service("ssm", own_tokens=True)
