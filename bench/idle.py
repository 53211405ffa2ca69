"""What Berth costs when nothing happens: resident memory and processor time of the control plane and the agent."""

import time

import psutil

from bench.client import connect
from bench.stage import Stage
from bench.table import print_table
from kit.processes import find_processes

SECONDS = 30
AIMS = {"control plane": (200, 1.0), "agent": (60, 1.0)}


def run(stage: Stage) -> None:
    connect(stage).wait_for_host()
    processes = {
        "control plane": psutil.Process(find_processes(["--serve-data", str(stage.data)])[0]),
        "agent": psutil.Process(find_processes(["--data", str(stage.data / "agent")])[0]),
    }
    time.sleep(5)
    before = {name: _cpu(process) for name, process in processes.items()}
    time.sleep(SECONDS)
    rows = []
    for name, process in processes.items():
        memory, share = AIMS[name]
        rows.append(
            (
                name,
                f"{process.memory_info().rss / 2**20:.0f} MiB",
                f"≤ {memory} MB",
                f"{(_cpu(process) - before[name]) / SECONDS * 100:.2f} %",
                f"< {share:.0f} %",
            )
        )
    print_table(f"Idle for {SECONDS} s", ("", "resident", "aim", "of one core", "aim"), rows)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
