"""Settings: what an agent that is started here may know of them."""

from kit.settings import SECRETS, agent_environment


def test_an_agent_gets_its_own_key_and_none_of_the_control_planes_secrets() -> None:
    secrets = {f"BERTH_{name.upper()}": "secret" for name in SECRETS}
    shell = {"AWS_ACCESS_KEY_ID": "AKIAMINE", "AWS_SESSION_TOKEN": "mine", "PATH": "/bin", "BERTH_REGION": "eu-west-1"}

    environment = agent_environment({**secrets, **shell}, {"AWS_ACCESS_KEY_ID": "AKIAAGENT"})

    assert environment == {"AWS_ACCESS_KEY_ID": "AKIAAGENT", "PATH": "/bin", "BERTH_REGION": "eu-west-1"}


def test_an_agent_that_brings_its_own_key_keeps_it() -> None:
    shell = {"AWS_ACCESS_KEY_ID": "ASIAMINE", "AWS_SESSION_TOKEN": "mine", "BERTH_SECRET_KEY": "secret"}

    assert agent_environment(shell, {}) == {"AWS_ACCESS_KEY_ID": "ASIAMINE", "AWS_SESSION_TOKEN": "mine"}
