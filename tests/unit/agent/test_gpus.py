"""Finding GPUs: by NVIDIA's tool, and none where it is missing, fails or talks nonsense."""

from pathlib import Path

import pytest

from agent import gpus
from agent.gpus import find_gpus


def tool(folder: Path, script: str) -> str:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_each_device_is_found_once_in_the_tools_order(tmp_path: Path) -> None:
    script = '[ "$*" = "--query-gpu=uuid --format=csv,noheader" ] && printf "GPU-b\\nGPU-a\\n\\nGPU-b\\n"'
    assert find_gpus(tool(tmp_path, script)) == ("GPU-b", "GPU-a")


@pytest.mark.parametrize("script", ["echo GPU-a; exit 9", "echo No devices were found", "printf '\\377\\376'"])
def test_a_tool_that_fails_or_names_none_finds_none(tmp_path: Path, script: str) -> None:
    assert find_gpus(tool(tmp_path, script)) == ()


def test_a_machine_without_the_tool_has_none(tmp_path: Path) -> None:
    assert find_gpus(str(tmp_path / "absent")) == ()


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "LONGEST_S", 0.1)
    assert find_gpus(tool(tmp_path, "exec sleep 60")) == ()
