"""The machine's GPUs, as NVIDIA's own tool names them. A machine without the tool, or whose tool fails, has none."""

import re
import shutil
import subprocess

from agent.log import facts

TOOL = "nvidia-smi"
LONGEST_S = 15
GPU_ID = re.compile(r"[A-Za-z0-9_./:-]{1,255}")
# What NVIDIA's container runtime does not take for the id of one GPU.
WORDS = frozenset({"all", "none", "void"})

log = facts(__name__)


def find_gpus(tool: str = TOOL) -> tuple[str, ...]:
    """The ids of this machine's GPUs, in the tool's order; asked within a bounded time."""
    path = shutil.which(tool)
    if path is None:
        return ()
    try:
        asked = subprocess.run(
            [path, "--query-gpu=uuid", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("no gpus offered", because=str(error))
        return ()
    found = [line.strip() for line in asked.stdout.splitlines()]
    return tuple(dict.fromkeys(gpu for gpu in found if is_gpu_id(gpu)))


def is_gpu_id(text: str) -> bool:
    """Whether the text can name one GPU."""
    return GPU_ID.fullmatch(text) is not None and text not in WORDS
