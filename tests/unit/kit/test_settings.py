"""Settings: the addresses they tell, and what an agent that is started here may know of them."""

import pytest

from kit.settings import SECRETS, BadSetting, agent_environment, read_settings


def test_who_listens_on_every_address_is_reached_on_this_machines_own() -> None:
    settings = read_settings({"BERTH_HOST": "0.0.0.0", "BERTH_PORT": "1", "BERTH_REGISTRY_PORT": "2"})

    assert (settings.host, settings.api_endpoint) == ("0.0.0.0", "http://127.0.0.1:1")
    assert settings.registry == "127.0.0.1:2"


def test_addresses_that_are_set_are_told_as_they_are() -> None:
    told = {"BERTH_ENDPOINT": "https://berth.example", "BERTH_REGISTRY_ADDRESS": "images.example:443"}
    settings = read_settings({"BERTH_HOST": "0.0.0.0", **told})

    assert (settings.api_endpoint, settings.registry) == ("https://berth.example", "images.example:443")


def test_an_agent_gets_its_own_key_and_none_of_the_control_planes_secrets() -> None:
    secrets = {f"BERTH_{name.upper()}": "secret" for name in SECRETS}
    shell = {"AWS_ACCESS_KEY_ID": "AKIAMINE", "AWS_SESSION_TOKEN": "mine", "PATH": "/bin", "BERTH_REGION": "eu-west-1"}

    environment = agent_environment({**secrets, **shell}, {"AWS_ACCESS_KEY_ID": "AKIAAGENT"})

    assert environment == {"AWS_ACCESS_KEY_ID": "AKIAAGENT", "PATH": "/bin", "BERTH_REGION": "eu-west-1"}


def test_an_agent_that_brings_its_own_key_keeps_it() -> None:
    shell = {"AWS_ACCESS_KEY_ID": "ASIAMINE", "AWS_SESSION_TOKEN": "mine", "BERTH_SECRET_KEY": "secret"}

    assert agent_environment(shell, {}) == {"AWS_ACCESS_KEY_ID": "ASIAMINE", "AWS_SESSION_TOKEN": "mine"}


def test_agents_that_are_started_here_read_files_of_tasks_from_the_store_that_is_set() -> None:
    environment = agent_environment({"BERTH_TASK_S3_ENDPOINT": "http://s3:9000"}, {})
    assert environment["AWS_ENDPOINT_URL_S3"] == "http://s3:9000"
    assert "AWS_ENDPOINT_URL_S3" not in agent_environment({"PATH": "/bin"}, {})


@pytest.mark.parametrize("name", ["port", "registry_port"])
def test_a_port_that_is_none_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(BadSetting, match=f"BERTH_{name.upper()} must be a port, 0 to 65535, not 65536"):
        read_settings({}, **{name: 65536})
