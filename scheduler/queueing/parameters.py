"""Parameters: ``Ref::name`` in a job's command becomes the parameter's value.

A placeholder may stand within a longer argument. One without a value is left as it is, as Batch does.
"""

import re
from collections.abc import Mapping, Sequence


def substitute(parameters: Mapping[str, str], command: Sequence[str]) -> tuple[str, ...]:
    """The command with every ``Ref::name`` replaced whose name is in ``parameters``.

    Values are put in once and not searched again, so a value that contains ``Ref::`` stays as given.
    Source: Batch user guide, "Job definition parameters".
    """
    if not parameters:
        return tuple(command)
    # The longest name first, so that Ref::input-file is not taken for Ref::input.
    names = sorted(parameters, key=len, reverse=True)
    placeholder = re.compile(f"Ref::({'|'.join(map(re.escape, names))})(?![A-Za-z0-9_])")
    return tuple(placeholder.sub(lambda found: parameters[found[1]], argument) for argument in command)
