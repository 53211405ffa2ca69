"""The ``berth`` command: one file per subcommand; this one knows their names and their help."""

import argparse
import sys
from collections.abc import Sequence

from kit.settings import BadSetting
from orchestrator.cli import agent, consolidate, down, env, exec, explain, processes, registry, role, status, top, up
from orchestrator.cli.output import CommandFailed

ABOUT = """\
Amazon ECS, Fargate, ECR and Batch on your own hosts, through AWS's own API.

First steps:
  berth up --detach            start everything on this machine
  eval "$(berth env)"          point aws, boto3 and docker at it
  aws ecs list-clusters        … and use it as you would use AWS
  berth status                 see hosts, services, tasks and why something waits
  berth top                    see what they use
  berth explain NAME           … of one of them: what is short, and what to do
  berth exec TASK              a shell in one of its containers
  berth consolidate            say which hosts could be emptied, and how
  berth down                   stop everything; what was kept stays kept
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="berth", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (up, down, status, top, explain, consolidate, env, exec, agent, role, processes, registry):
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code (0 done, 1 could not, 2 asked wrongly)."""
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except (CommandFailed, BadSetting) as error:
        print(f"berth: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        print(f"berth: {error.filename or 'this machine'}: {error.strerror or error}", file=sys.stderr)
        return 1
