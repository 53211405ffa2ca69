"""The Docker SDK's client with plain requests sent plainly, where the engine is on this machine.

What the SDK's HTTP library does around a request (cookies, redirects, proxies, hooks) and a connection of its own for
each URL cost several times what sending it over a kept one does. Streams and other engines go the SDK's own way.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import docker
import requests
import urllib3
from docker.transport import UnixHTTPAdapter


class DockerClient(docker.APIClient):  # type: ignore[misc]
    """Safe on any thread: each request has a connection to itself, which serves the next one after it."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stream: bool | None = None,
        **how: Any,
    ) -> requests.Response:
        """What the SDK's every call goes through."""
        adapter = self.get_adapter(self.base_url)
        is_plain = not stream and how.get("json") is None and isinstance(data, str | bytes | None)
        if not is_plain or not isinstance(adapter, UnixHTTPAdapter):
            answer: requests.Response = super().request(
                method, url, params=params, data=data, headers=headers, timeout=timeout, stream=stream, **how
            )
            return answer
        given = {name: value for name, value in (params or {}).items() if value is not None}
        path = url.removeprefix(self.base_url) + (f"?{urlencode(given, doseq=True)}" if given else "")
        sent = adapter.get_connection(self.base_url).urlopen(
            method,
            path,
            body=data,
            headers={**self.headers, **(headers or {})},
            timeout=urllib3.Timeout(timeout),
            retries=False,
            redirect=False,
        )
        plain = requests.Response()
        plain.status_code, plain.reason, plain.url = sent.status, sent.reason, url
        plain.headers.update(sent.headers)
        plain._content = sent.data
        return plain
