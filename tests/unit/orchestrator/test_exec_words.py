"""``berth exec``: which words are its own and which are the command's."""

import argparse
from pathlib import Path

import pytest

from orchestrator.cli import exec as exec_command
from orchestrator.cli.output import CommandFailed


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    exec_command.add_parser(parser.add_subparsers())
    return parser.parse_args(["exec", *words])


@pytest.mark.parametrize(
    "words",
    [
        ("--container", "web", "abc", "ls", "--all"),
        ("abc", "--container", "web", "ls", "--all"),
        ("abc", "--container=web", "--", "ls", "--all"),
    ],
)
def test_options_are_taken_before_and_behind_the_task(words: tuple[str, ...]) -> None:
    arguments = parsed(*words)
    assert exec_command.command_of(arguments) == ["ls", "--all"]
    assert (arguments.task, arguments.container) == ("abc", "web")


def test_the_data_directory_behind_the_task_is_a_path() -> None:
    arguments = parsed("abc", "--data", "there")
    assert exec_command.command_of(arguments) == []
    assert arguments.data == Path("there")


@pytest.mark.parametrize(
    ("words", "told"), [(("--contaner", "web"), "--contaner"), (("--container",), "needs a value")]
)
def test_an_option_that_is_not_there_runs_nothing(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandFailed, match=told):
        exec_command.command_of(parsed("abc", *words))
