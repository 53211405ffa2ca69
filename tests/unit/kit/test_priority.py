"""Priority: Berth's own processes go before the containers beside them, where they may."""

import os
import subprocess
import sys
from pathlib import Path

from kit.priority import NICE

# Says how nice a thread is that is started afterwards.
SCRIPT = """
import os, sys, threading
from pathlib import Path
from kit.priority import go_first

go_first(Path(sys.argv[1]))
thread = threading.Thread(target=lambda: print(os.getpriority(os.PRIO_PROCESS, 0)))
thread.start()
thread.join()
"""


def said(*command: str | Path, leads: bool = True) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=leads).stdout.strip()


def reached() -> str:
    """How far up a process of ours gets: ``nice`` asked to go there says where it is."""
    step = NICE - os.getpriority(os.PRIO_PROCESS, 0)
    return said("nice", "-n", str(step), "nice")


def test_a_process_and_its_threads_go_first_as_far_as_they_may(tmp_path: Path) -> None:
    assert said(sys.executable, "-c", SCRIPT, tmp_path / "autogroup") == reached()


def test_the_session_is_raised_by_who_leads_it_alone(tmp_path: Path) -> None:
    led, shared = tmp_path / "led", tmp_path / "shared"
    said(sys.executable, "-c", SCRIPT, led)
    said(sys.executable, "-c", SCRIPT, shared, leads=False)
    assert led.exists() == (reached() == str(NICE))
    assert not shared.exists()


def test_a_kernel_without_sessions_shares_is_no_trouble(tmp_path: Path) -> None:
    assert said(sys.executable, "-c", SCRIPT, tmp_path / "not" / "there") == reached()
