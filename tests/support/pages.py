"""Pages that containers serve."""

import urllib.request
from contextlib import suppress

from tests.support.berth import until


def served(url: str) -> bytes:
    """The page, once it is served: a container that runs need not listen yet."""

    def look() -> bytes:
        with suppress(OSError), urllib.request.urlopen(url, timeout=10) as page:
            return bytes(page.read())
        return b""

    return until(f"{url} is served", look)
