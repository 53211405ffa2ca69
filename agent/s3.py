"""Objects from an S3-compatible store: signed GETs of path-style addresses, bounded in size."""

import http.client
import re
import ssl
from urllib.parse import quote, urlsplit

from agent.control.aws import Unreachable
from agent.keys import Keys
from kit.aws.sigv4 import sign
from kit.clock import Clock

OBJECT = re.compile(r"arn:[a-z0-9-]+:s3:::(?P<bucket>[a-z0-9][a-z0-9.-]{1,62})/(?P<key>.+)")
MOST_BYTES = 1024 * 1024
TIMEOUT_S = 30


class NoObject(Exception):
    """The object is not to be had; the text says why."""


class S3:
    """One store. ``keys`` are the store's own; without them each call's are used."""

    def __init__(
        self,
        *,
        endpoint: str,
        region: str,
        clock: Clock,
        keys: Keys | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._region = region
        self._clock = clock
        self._keys = keys
        self._trust = trust

    @property
    def has_keys(self) -> bool:
        return self._keys is not None

    def get(self, arn: str, keys: Keys | None = None) -> bytes:
        """An object's content, by its ARN. Raises NoObject, and Unreachable where it may be had later."""
        found = OBJECT.fullmatch(arn)
        if not found:
            raise NoObject(f"{arn} is not the ARN of an S3 object")
        if not self._endpoint:
            raise NoObject(f"{arn}: this agent knows no S3 endpoint (AWS_ENDPOINT_URL_S3)")
        url = f"{self._endpoint}/{found['bucket']}/{quote(found['key'], safe='/~')}"
        status, body = self._ask(url, self._keys or keys)
        if status == 200:
            if len(body) > MOST_BYTES:
                raise NoObject(f"{arn}: larger than {MOST_BYTES} bytes")
            return body
        code = re.search(rb"<Code>([A-Za-z0-9.]{1,60})</Code>", body)
        what = f"{arn}: {code[1].decode() if code else f'HTTP {status}'}"
        if status >= 500 or status == 429 or (code and code[1] in (b"SlowDown", b"ExpiredToken", b"RequestTimeout")):
            raise Unreachable(what)
        raise NoObject(what)

    def _ask(self, url: str, keys: Keys | None) -> tuple[int, bytes]:
        parts = urlsplit(url)
        headers = {}
        if keys:
            headers = sign(
                method="GET",
                url=url,
                headers={},
                body=b"",
                access_key=keys.access_key,
                secret_key=keys.secret_key,
                session_token=keys.session_token,
                service="s3",
                region=self._region,
                at=self._clock.now(),
            )
        assert parts.hostname
        connection = (
            http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=self._trust)
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        )
        try:
            connection.request("GET", parts.path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(MOST_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self._endpoint}: {error or type(error).__name__}") from error
        finally:
            connection.close()
