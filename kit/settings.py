"""Settings: one frozen object per process, read once from the environment and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from kit.file_systems import BadFileSystems, read_file_systems


class BadSetting(Exception):
    """A setting that cannot be used; the message names it and says what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every field is read from ``BERTH_<FIELD IN CAPITALS>`` unless the command line gave it.

    ``docs/settings.md`` is made from these fields and the text beside them in ``ABOUT``.
    """

    data: Path = Path("~/.berth")
    store_url: str = ""
    host: str = "127.0.0.1"
    port: int = 7070
    registry_port: int = 5050
    endpoint: str = ""
    registry_address: str = ""
    account: str = "123456789012"
    region: str = "us-east-1"
    secret_key: str = ""
    root_access_key_id: str = ""
    root_secret_access_key: str = ""
    agent_access_key_id: str = ""
    agent_secret_access_key: str = ""
    docker_host: str = ""
    image_pull_behavior: str = "default"
    image_cleanup: bool = True
    gpus: str = ""
    resources: str = ""
    provisioner: str = "local"
    availability_zone: str = ""
    max_body: int = 64 * 1024 * 1024
    threads: int = 24
    task_retention_seconds: int = 3600
    service_settle_seconds: int = 10
    host_lost_seconds: int = 5
    inject_endpoint: bool = False
    file_systems: str = ""
    task_s3_endpoint: str = ""
    tls: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    storage: str = ""
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""
    blob_delivery: str = ""
    registry_sparse: bool = False
    registry_protect_in_use: bool = True
    registry_gc_hours: int = 6
    registry_grace_hours: int = 24
    registry_delete_untagged: bool = False
    registry_scrub_rate: int = 4
    registry_scanner: str = ""
    registry_cache_ttl_seconds: int = 86400

    @property
    def store(self) -> str:
        """The store's SQLAlchemy URL; without one, the SQLite file of the data directory."""
        return self.store_url or f"sqlite:///{self.data / 'berth.db'}"

    @property
    def api_endpoint(self) -> str:
        """How agents and clients reach the API."""
        return self.endpoint or f"{self.scheme}://{self._reached_at}:{self.port}"

    @property
    def registry(self) -> str:
        """``host:port`` of the registry, as it stands in image URIs."""
        return self.registry_address or f"{self._reached_at}:{self.registry_port}"

    @property
    def registry_url(self) -> str:
        """Where the registry is reached, with the scheme."""
        return f"{self.scheme}://{self.registry}"

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def _reached_at(self) -> str:
        """An address to ask: who listens on all of them is reached on this machine's own, which engines trust."""
        return "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104

    def with_ports(self, port: int, registry_port: int) -> "Settings":
        """The same settings with the ports that were given out where 0 was asked for."""
        return replace(self, port=port, registry_port=registry_port)

    @property
    def zone(self) -> str:
        """The availability zone given to hosts that name none."""
        return self.availability_zone or f"{self.region}a"


# What only the control plane needs, and of the shell it was started from what would be taken for an agent's own.
SECRETS = (
    "store_url",
    "secret_key",
    "root_access_key_id",
    "root_secret_access_key",
    "agent_access_key_id",
    "agent_secret_access_key",
    "s3_access_key_id",
    "s3_secret_access_key",
)
_FOREIGN = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

ABOUT: Mapping[str, str] = {
    "data": "Directory for the embedded store, keys, blobs, logs and process files. Made with mode 0700.",
    "store_url": "SQLAlchemy URL: `sqlite:///…` or `postgresql+psycopg://…`. Empty: SQLite in the data directory.",
    "host": "Address the API and the registry listen on; `0.0.0.0` is all, and reached from here at `127.0.0.1`.",
    "port": "Port of the API.",
    "registry_port": "Port of the registry.",
    "endpoint": "How agents and clients reach the API, when that is not `http://HOST:PORT` (`https` with TLS).",
    "registry_address": "`host:port` of the registry in image URIs, when that is not `HOST:REGISTRY_PORT`.",
    "account": "AWS account id, twelve digits.",
    "region": "AWS region.",
    "secret_key": "Master key of secrets at rest: 32 bytes, URL-safe base64. Empty: made once, in the data directory.",
    "root_access_key_id": "Access key id of the root key. Empty: made at the first start, kept in the data directory.",
    "root_secret_access_key": "Secret access key of the root key; goes with `root_access_key_id`.",
    "agent_access_key_id": "Access key id of the agents' key. Empty: made at the first start, as the root key is.",
    "agent_secret_access_key": "Secret access key of the agents' key; goes with `agent_access_key_id`.",
    "docker_host": "Docker Engine of local agents, as in `DOCKER_HOST`. Empty: the default socket.",
    "image_pull_behavior": "When agents pull an image again: `default`, `always`, `once`, `prefer-cached`, as in ECS.",
    "image_cleanup": "Whether agents started here remove images that agents pulled and nobody uses: each half hour up "
    "to five that are older than an hour, and above 85 % of the engine's disk as many as it takes.",
    "gpus": "Ids of the GPUs that the local agent offers, with commas, or `none`. Empty: those `nvidia-smi` names.",
    "resources": "Further resources that the local agent offers: `NAME=N`, with commas.",
    "provisioner": "Where Fargate capacity comes from.",
    "availability_zone": "Zone of hosts that name none. Empty: the region's `a`.",
    "max_body": "Largest API request body, in bytes.",
    "threads": "Threads that answer API requests.",
    "task_retention_seconds": "How long a stopped task is still described, in seconds.",
    "service_settle_seconds": "How long a task without health check runs before its service counts it well (ECS: 40).",
    "host_lost_seconds": "How long after its agent's connection broke a host counts as lost, in seconds: what services "
    "and jobs had there is started elsewhere. Nine times as long after an agent said goodbye. 0: never, as in ECS.",
    "inject_endpoint": "Whether tasks get `AWS_ENDPOINT_URL` and region in their environment. Containers reach only an "
    "endpoint that is no loopback address: set `BERTH_HOST` and `BERTH_ENDPOINT` too.",
    "file_systems": "Which NFS export each EFS file system of a task definition stands for: "
    "`fs-0123=10.0.0.5:/exports/a`, with commas.",
    "task_s3_endpoint": "URL of the S3-compatible store that agents read environment files and FireLens configurations "
    "from. Hosts joined elsewhere need it as `AWS_ENDPOINT_URL_S3`.",
    "tls": "Serve the API and the registry by TLS. Without a certificate given, one is made beneath `tls` in the data "
    "directory, with an authority of its own.",
    "tls_certificate": "File of the server's certificate with its chain, in PEM.",
    "tls_key": "File of its key, in PEM; goes with `tls_certificate`.",
    "storage": "Where blobs are kept: `s3://BUCKET/PREFIX`. Empty: files in the data directory.",
    "s3_endpoint": "URL of the S3-compatible store. Empty: AWS's own.",
    "s3_region": "Region of the bucket.",
    "s3_access_key_id": "Access key id for the bucket. Empty: the process's own credentials, as AWS's tools find them.",
    "s3_secret_access_key": "Secret access key; goes with `s3_access_key_id`.",
    "blob_delivery": "How pulled blobs are sent. Empty: by a redirect to the bucket, or else from the file; `proxy`: "
    "never by a redirect; `nginx:/PREFIX`: by `X-Accel-Redirect` to the internal location that serves the data "
    "directory's `registry/blobs`.",
    "registry_sparse": "Whether manifests may be pushed whose layers or images are not in the repository, as by who "
    "copies one platform of many.",
    "registry_protect_in_use": "Whether lifecycle policies and the garbage collector leave images alone that a task, a "
    "service, a job that has not ended or a schedule needs.",
    "registry_gc_hours": "How often the registry collects its garbage, in hours; 0: only by `berth registry gc`.",
    "registry_grace_hours": "How long a layer that no image needs is kept, in hours: longer than any push takes.",
    "registry_delete_untagged": "Whether the garbage collector also deletes images without a tag, pushed longer ago "
    "than the grace time, that nothing here needs or runs.",
    "registry_scrub_rate": "How fast kept blobs are read again and verified, in MiB per second; 0: never by itself.",
    "registry_scanner": "What finds vulnerabilities in images: `trivy` or `grype` on the PATH. Empty: Berth itself, by "
    "the advisories that `berth registry osv import` was given.",
    "registry_cache_ttl_seconds": "How long a tag of a pull-through cache is served before its upstream is asked "
    "whether it has moved, in seconds (ECR: a day).",
}


def read_settings(environ: Mapping[str, str], **given: Any) -> Settings:
    """Settings from ``environ``, with ``given`` (those that are not None) on top; raises BadSetting."""
    values: dict[str, Any] = {}
    types = get_type_hints(Settings)
    for field in fields(Settings):
        text = environ.get(f"BERTH_{field.name.upper()}")
        if given.get(field.name) is not None:
            values[field.name] = given[field.name]
        elif text:
            values[field.name] = _convert(field.name, text, types[field.name])
    settings = Settings(**values)
    if not (settings.account.isdigit() and len(settings.account) == 12):
        raise BadSetting(f"BERTH_ACCOUNT must be twelve digits, not {settings.account!r}")
    for name in ("port", "registry_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise BadSetting(f"BERTH_{name.upper()} must be a port, 0 to 65535, not {getattr(settings, name)}")
    try:
        read_file_systems(settings.file_systems)
    except BadFileSystems as error:
        raise BadSetting(f"BERTH_FILE_SYSTEMS: {error}") from error
    return Settings(**{**values, "data": Path(settings.data).expanduser().absolute()})


def agent_environment(environ: Mapping[str, str], key: Mapping[str, str]) -> dict[str, str]:
    """The environment of an agent that is started from here: ``environ`` without the control plane's secrets.

    ``key`` are the variables of the agent's own access key; without any, those of ``environ`` stay.
    """
    withheld = {f"BERTH_{name.upper()}" for name in SECRETS} | set(_FOREIGN if key else ())
    kept = {name: value for name, value in environ.items() if name not in withheld}
    if environ.get("BERTH_TASK_S3_ENDPOINT"):
        kept["AWS_ENDPOINT_URL_S3"] = environ["BERTH_TASK_S3_ENDPOINT"]
    return kept | dict(key)


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("1", "0", "true", "false", "yes", "no"):
            raise BadSetting(f"BERTH_{name.upper()} must be true or false, not {text!r}")
        return text.lower() in ("1", "true", "yes")
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise BadSetting(f"BERTH_{name.upper()} must be a whole number, not {text!r}") from None
    return kind(text)
