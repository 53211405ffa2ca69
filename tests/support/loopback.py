"""A real boto3 client whose requests go to a gateway in the same process, without a socket.

Everything but the network is real: the client signs, serialises and parses; the gateway verifies, decodes, runs
and encodes, and is strict, so an answer or an error that the service's model does not declare fails the test.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from urllib3 import HTTPResponse

from kit.aws.gateway import Gateway
from kit.aws.http import HttpRequest
from kit.aws.service import Service
from kit.aws.sigv4 import Caller, FindKey, Key
from kit.clock import Clock, SystemClock
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.errand import make_tools
from orchestrator.frame import make_execute
from registry.home import Home
from registry.storage import Storage
from registry.storage.memory import MemoryStorage
from state.base import Base
from state.store import Store

ROOT = "arn:aws:iam::123456789012:root"
KEY = Key(
    access_key_id="AKIAIOSFODNN7EXAMPLE",
    secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    caller=Caller(access_key_id="AKIAIOSFODNN7EXAMPLE", principal_arn=ROOT, account="123456789012"),
)


class Loopback:
    """A control plane of some services over one store; ``clock`` is the server's."""

    def __init__(
        self,
        url: str,
        services: Iterable[Service],
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
        secrets: SecretBox | None = None,
        find_key: FindKey | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.store = Store(url)
        Base.metadata.create_all(self.store.engine)
        self.clock = clock or SystemClock()
        self.settings = settings or Settings()
        self.secrets = secrets or SecretBox(SecretBox.new_master_key())
        self.storage = storage or MemoryStorage(clock=self.clock)
        # As the registry beside a control plane does, unless one has done so before.
        Home(self.store, self.storage, founds=True).settle()
        self.gateway = Gateway(
            services,
            find_key=find_key or {KEY.access_key_id: KEY}.get,
            clock=self.clock,
            execute=make_execute(
                self.store,
                make_tools(self.store, self.storage, clock=self.clock, settings=self.settings, secrets=self.secrets),
            ),
            strict=True,
        )

    def client(self, service: str, key: Key = KEY, **options: Any) -> Any:
        """A boto3 client of ``service`` that signs with ``key``."""
        client = boto3.client(
            service,
            endpoint_url="http://berth.test:7070",
            region_name="us-east-1",
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret,
            aws_session_token=key.session_token,
            config=Config(retries={"total_max_attempts": 1}, **options),
        )
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        parts = urlsplit(request.url)
        body = request.body or b""
        response = self.gateway.handle(
            HttpRequest(
                method=request.method,
                path=parts.path,
                query=parts.query,
                headers=[
                    ("host", parts.netloc),
                    *((name, _text(value)) for name, value in request.headers.items() if name.lower() != "host"),
                ],
                body=body if isinstance(body, bytes) else body.encode(),
            )
        )
        raw = HTTPResponse(body=BytesIO(response.body), status=response.status, preload_content=False)
        return AWSResponse(request.url, response.status, dict(response.headers), raw)

    def close(self) -> None:
        self.store.close()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
