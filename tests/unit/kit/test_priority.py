"""Priority: Berth's own processes go before the containers beside them, where they may."""

import subprocess
import sys
from pathlib import Path

from kit.priority import NICE
from tests.support.priority import reached

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


def niceness(autogroup: Path, *, leads: bool = True) -> int:
    command = [sys.executable, "-c", SCRIPT, str(autogroup)]
    return int(subprocess.run(command, check=True, capture_output=True, start_new_session=leads).stdout)


def test_a_process_and_its_threads_go_first_as_far_as_they_may(tmp_path: Path) -> None:
    assert niceness(tmp_path / "autogroup") == reached()


def test_the_session_is_raised_by_who_leads_it_alone(tmp_path: Path) -> None:
    led, shared = tmp_path / "led", tmp_path / "shared"
    niceness(led)
    niceness(shared, leads=False)
    assert led.exists() == (reached() == NICE)
    assert not shared.exists()


def test_a_kernel_without_sessions_shares_is_no_trouble(tmp_path: Path) -> None:
    assert niceness(tmp_path / "not" / "there") == reached()
