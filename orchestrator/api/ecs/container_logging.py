"""Where containers' logs go: the drivers and the options that each takes, and a task's own log router (FireLens).

Source: ECS API, LogConfiguration and FirelensConfiguration; the options are Docker's of each driver, which refuses to
create a container with any other, and those that ECS adds to ``awslogs``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kit.settings import Settings
from orchestrator.api.ecs.container_secrets import NO_STORE
from orchestrator.api.ecs.errors import ClientException

FIRELENS = "awsfirelens"
_MARKED = "labels labels-regex env env-regex tag"
# Which options each driver takes; a router's are its own.
OPTIONS: Mapping[str, frozenset[str]] = {
    driver: frozenset(f"{words} mode max-buffer-size".split())
    for driver, words in {
        "awslogs": "awslogs-group awslogs-region awslogs-stream-prefix awslogs-stream awslogs-create-group "
        "awslogs-datetime-format awslogs-multiline-pattern",
        "json-file": f"max-size max-file compress {_MARKED}",
        "syslog": "syslog-address syslog-facility syslog-format syslog-tls-ca-cert syslog-tls-cert syslog-tls-key "
        f"syslog-tls-skip-verify {_MARKED}",
        "journald": _MARKED,
        "gelf": "gelf-address gelf-compression-type gelf-compression-level gelf-tcp-max-reconnect "
        f"gelf-tcp-reconnect-delay {_MARKED}",
        "fluentd": "fluentd-address fluentd-async fluentd-async-connect fluentd-buffer-limit fluentd-max-retries "
        f"fluentd-request-ack fluentd-retry-wait fluentd-sub-second-precision {_MARKED}",
        "splunk": "splunk-url splunk-token splunk-source splunk-sourcetype splunk-index splunk-capath splunk-caname "
        "splunk-insecureskipverify splunk-format splunk-verify-connection splunk-gzip splunk-gzip-level "
        f"splunk-index-acknowledgment {_MARKED}",
    }.items()
}
NEEDED = {"awslogs": ("awslogs-group", "awslogs-region"), "splunk": ("splunk-url", "splunk-token")}
_SIZE = re.compile(r"[1-9]\d{0,9}(?:[kKmMgG][bB]?)?")
ROUTER_OPTIONS = ("enable-ecs-log-metadata", "config-file-type", "config-file-value")


def check_logging(container: Mapping[str, Any]) -> None:
    """Raise ClientException for options that the container's log driver does not take, or needs."""
    configuration = container.get("logConfiguration")
    if not configuration:
        return
    name, driver = container["name"], configuration["logDriver"]
    options = configuration.get("options") or {}
    secret = [option["name"] for option in configuration.get("secretOptions") or ()]
    for option in secret:
        if option in options or secret.count(option) > 1:
            raise ClientException(f"Container '{name}': log option '{option}' is given twice.")
    if driver == FIRELENS:
        return
    given = {*options, *secret}
    missing = [option for option in NEEDED.get(driver, ()) if not options.get(option) and option not in secret]
    if missing:
        raise ClientException(f"Log driver {driver} requires options: {', '.join(missing)}")
    unknown = sorted(given - OPTIONS[driver])
    if unknown:
        raise ClientException(f"Log driver {driver} disallows options: {', '.join(unknown)}")
    _buffer(name, options)
    if options.get("awslogs-create-group") not in (None, "true"):
        raise ClientException(
            f"Log driver {driver} option 'awslogs-create-group' should only be set to 'true', else omit option."
        )
    if options.get("awslogs-datetime-format") and options.get("awslogs-multiline-pattern"):
        raise ClientException(
            f"Container '{name}': log options awslogs-datetime-format and awslogs-multiline-pattern exclude each other."
        )


def check_routers(containers: Sequence[Mapping[str, Any]], *, role: bool, settings: Settings) -> None:
    """Raise ClientException unless the containers that log by a router have exactly one."""
    routers = [container for container in containers if container.get("firelensConfiguration")]
    logging = [container["name"] for container in containers if _driver(container) == FIRELENS]
    if len(routers) > 1:
        raise ClientException("Only one container of a task definition can have a firelensConfiguration.")
    if logging and not routers:
        raise ClientException(
            f"When {FIRELENS} log driver is specified in log configuration, a firelens configuration object must be "
            "specified."
        )
    for router in routers:
        if router["name"] in logging:
            raise ClientException(f"Container '{router['name']}' is the log router and cannot log by {FIRELENS}.")
        _router(router, role=role, settings=settings)


def _router(container: Mapping[str, Any], *, role: bool, settings: Settings) -> None:
    name, configuration = container["name"], container["firelensConfiguration"]
    options: Mapping[str, str] = configuration.get("options") or {}
    where = f"Container '{name}': firelensConfiguration.options"
    unknown = sorted(set(options) - set(ROUTER_OPTIONS))
    if unknown:
        raise ClientException(f"{where}: unknown option '{unknown[0]}'.")
    if options.get("enable-ecs-log-metadata", "true") not in ("true", "false"):
        raise ClientException(f"{where}: enable-ecs-log-metadata must be true or false.")
    kind, value = options.get("config-file-type"), options.get("config-file-value")
    if (kind is None) != (not value):
        raise ClientException(f"{where}: config-file-type and config-file-value go together.")
    if kind not in (None, "file", "s3"):
        raise ClientException(f"{where}: config-file-type must be s3 or file, not '{kind}'.")
    if kind == "s3":
        if not settings.task_s3_endpoint:
            raise ClientException(f"{where}: config-file-type s3 {NO_STORE}")
        if not re.fullmatch(r"arn:[a-z0-9-]+:s3:::[a-z0-9][a-z0-9.-]{1,62}/.+", value or ""):
            raise ClientException(f"{where}: config-file-value '{value}' is not the ARN of an object in Amazon S3.")
        if not role:
            raise ClientException(
                "When you are specifying a FireLens configuration in Amazon S3, you must also specify a value for "
                "'executionRoleArn'."
            )


def _buffer(name: str, options: Mapping[str, str]) -> None:
    mode, size = options.get("mode"), options.get("max-buffer-size")
    if mode not in (None, "blocking", "non-blocking"):
        raise ClientException(f"Container '{name}': log option mode must be blocking or non-blocking, not '{mode}'.")
    if size is None:
        return
    if mode != "non-blocking":
        raise ClientException(f"Container '{name}': log option max-buffer-size goes with mode non-blocking.")
    if _SIZE.fullmatch(size) is None:
        raise ClientException(f"Container '{name}': log option max-buffer-size '{size}' is not a size, as 25m is.")


def _driver(container: Mapping[str, Any]) -> str | None:
    return (container.get("logConfiguration") or {}).get("logDriver")
