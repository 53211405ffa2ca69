"""What tests of every service share to read why a call was refused."""

from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(client: Any, code: str) -> Any:
    """Holds a call that must be refused with this code, which the service's model declares."""
    return pytest.raises(client.exceptions.from_code(code))


def refused_code(call: Any, **request: Any) -> str:
    """The code that the call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    return refusal(caught)[0]


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    """The code and the message."""
    told = error.value.response["Error"]
    return told["Code"], told["Message"]
