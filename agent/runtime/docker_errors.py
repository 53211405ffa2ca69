"""The seam: the Docker SDK's exceptions become Temporary, NotFound or Refused here, and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from docker import errors

from agent.runtime import ImageMissing, NotFound, Refused, Temporary

# What Docker answers with 500 while its containerd is away or starting.
AWAY = ("code = Unavailable", "transport is closing", "context deadline exceeded", "error while dialing")


@contextmanager
def translated() -> Iterator[None]:
    """Run calls of the SDK; what they raise leaves as one of the agent's own exceptions."""
    try:
        yield
    except errors.ImageNotFound as error:
        raise ImageMissing(explained(error)) from error
    except errors.APIError as error:
        raise _api_error(error) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Temporary(f"the Docker Engine does not answer: {error}") from error
    except errors.DockerException as error:
        raise Temporary(f"the Docker Engine does not answer: {error}") from error


def explained(error: errors.APIError) -> str:
    """The engine's own words, as the docker CLI shows them."""
    return f"Error response from daemon: {error.explanation or error}"


def _api_error(error: errors.APIError) -> Exception:
    text = explained(error)
    if error.status_code == 404:
        return ImageMissing(text) if "no such image" in text.lower() else NotFound(text)
    if error.status_code == 503 or (error.status_code == 500 and any(word in text for word in AWAY)):
        return Temporary(text)
    return Refused(text)
