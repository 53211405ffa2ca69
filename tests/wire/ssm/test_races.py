"""Writers of one parameter at the same time: every version has its number, and nobody's value is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.loopback import Loopback

WRITERS = 8


def test_versions_put_at_the_same_time_are_numbered_once_each(berth: Loopback, client: Any) -> None:
    clients = [berth.client("ssm") for _ in range(WRITERS)]

    def put(number: int) -> int:
        answer = clients[number].put_parameter(Name="p", Value=str(number), Type="String", Overwrite=True)
        return int(answer["Version"])

    with ThreadPoolExecutor(WRITERS) as pool:
        numbers = list(pool.map(put, range(WRITERS)))

    assert sorted(numbers) == list(range(1, WRITERS + 1))
    history = client.get_parameter_history(Name="p")["Parameters"]
    assert {(one["Version"], one["Value"]) for one in history} == {
        (version, str(number)) for number, version in enumerate(numbers)
    }
