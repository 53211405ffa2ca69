"""The chart of a run: rate over time against the published averages of others, and what is placed and running."""

from collections.abc import Sequence
from pathlib import Path

from bench.scale.gauge import Sample

ANCHORS = {"Nomad C1M, 3,750/s": 3750, "Nomad C2M, 1,500/s": 1500}
SMOOTH = 2.0


def draw(samples: Sequence[Sample], title: str, path: Path) -> None:
    """Write a PNG; matplotlib comes with the extra ``bench``."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(10, 6.5), sharex=True, height_ratios=(3, 2))
    at, rates = _rates(samples)
    above.plot(at, rates, color="#1f5fbf", linewidth=1.2, label="Berth: tasks RUNNING a second")
    for (name, rate), style in zip(ANCHORS.items(), ("--", ":"), strict=True):
        above.axhline(rate, color="#8a8a8a", linestyle=style, linewidth=1, label=f"{name} (average, as published)")
    above.set_ylim(bottom=0)
    above.set_ylabel("tasks a second")
    above.legend(loc="lower right", frameon=False, fontsize=9)
    above.set_title(title, loc="left", fontsize=10)
    seconds = [sample.at for sample in samples]
    below.plot(seconds, [sample.launched for sample in samples], color="#8fb3e8", label="placed")
    below.plot(seconds, [sample.running for sample in samples], color="#1f5fbf", label="running")
    below.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    below.set_ylabel("tasks")
    below.set_xlabel("seconds since the first desired count was asked for")
    memory = below.twinx()
    memory.plot(seconds, [sample.memory / 2**20 for sample in samples], color="#c77d3a", linewidth=1, label="memory")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("control plane, MiB", color="#c77d3a")
    below.legend(loc="upper left", frameon=False, fontsize=9)
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _rates(samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """The rate at each sample, over the ``SMOOTH`` seconds before it."""
    at, rates = [], []
    behind = 0
    for sample in samples[1:]:
        while sample.at - samples[behind + 1].at > SMOOTH:
            behind += 1
        before = samples[behind]
        at.append(sample.at)
        rates.append((sample.running - before.running) / (sample.at - before.at))
    return at, rates
