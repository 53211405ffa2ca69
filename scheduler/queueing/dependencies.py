"""Dependencies: whether a job may run yet, given how the jobs it waits for stand.

A child of an array waits like this: for a plain dependency, on that job; for ``N_TO_N``, on the child of the same
index; for ``SEQUENTIAL``, on the child before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scheduler.queueing.world import Dependency, Status

MOST_DEPENDENCIES = 20
SMALLEST_ARRAY, LARGEST_ARRAY = 2, 10_000
DEPENDENT_JOB_FAILED = "Dependent Job failed"


class BadDependency(ValueError):
    """A ``dependsOn`` or array size that Batch refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Nothing holds the job back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """These job ids have to succeed first."""

    on: tuple[str, ...]

    def text(self) -> str:
        """``waiting for job <id> and 2 more``."""
        more = f" and {len(self.on) - 1} more" if len(self.on) > 1 else ""
        return f"waiting for job {self.on[0]}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A dependency failed, so the job goes to FAILED with this ``statusReason``."""

    because: str
    job_id: str


def decide_dependencies(
    job_id: str,
    depends_on: Sequence[Dependency],
    statuses: Mapping[str, str],
    *,
    index: int | None = None,
) -> Ready | Waiting | Doomed:
    """May the job run? ``statuses`` maps the ids of ``waits_for`` to their statuses; an absent one counts as failed.

    For a child of an array, ``job_id`` is the child's own (``<parent>:<index>``) and ``index`` its index.
    """
    unfinished = []
    for other in waits_for(job_id, depends_on, index=index):
        status = statuses.get(other)
        if status is None or status == Status.FAILED:
            return Doomed(because=DEPENDENT_JOB_FAILED, job_id=other)
        if status != Status.SUCCEEDED:
            unfinished.append(other)
    return Waiting(on=tuple(unfinished)) if unfinished else Ready()


def waits_for(job_id: str, depends_on: Sequence[Dependency], *, index: int | None = None) -> tuple[str, ...]:
    """The ids of the jobs that must succeed before this one runs, each once, in order."""
    found: dict[str, None] = {}
    for dependency in depends_on:
        match dependency:
            case Dependency(type="SEQUENTIAL", job_id=None):
                if index:
                    found[child_id(job_id.rsplit(":", 1)[0], index - 1)] = None
            case Dependency(type="N_TO_N", job_id=str(other)) if index is not None:
                found[child_id(other, index)] = None
            case Dependency(type="N_TO_N", job_id=str()):
                # The array's parent stands for its children, and each of them waits for its own counterpart.
                continue
            case Dependency(job_id=str(other)):
                found[other] = None
    return tuple(found)


def child_id(parent: str, index: int) -> str:
    """``<parent>:<index>``, the id of an array's child."""
    return f"{parent}:{index}"


def check_submission(
    depends_on: Sequence[Dependency],
    *,
    array_size: int | None = None,
    sizes: Mapping[str, int | None],
) -> None:
    """Raise BadDependency unless Batch takes this submission.

    ``sizes`` maps each known job id to its array size (None for a plain job). A job can only depend on jobs that
    exist, so submissions alone never make a cycle. Source: Batch API, SubmitJob (dependsOn, arrayProperties).
    """
    if array_size is not None and not SMALLEST_ARRAY <= array_size <= LARGEST_ARRAY:
        raise BadDependency(f"Array size must be between {SMALLEST_ARRAY} and {LARGEST_ARRAY}, not {array_size}.")
    if len(depends_on) > MOST_DEPENDENCIES:
        raise BadDependency(f"A job can depend on at most {MOST_DEPENDENCIES} jobs, not {len(depends_on)}.")
    for dependency in depends_on:
        _check_dependency(dependency, array_size, sizes)


def find_cycle(edges: Mapping[str, Iterable[str]]) -> tuple[str, ...] | None:
    """A cycle of the graph ``job id → ids it waits for``, first id repeated at the end, or None."""
    done: set[str] = set()
    for root in edges:
        path: dict[str, None] = {}
        stack = [(root, iter(edges.get(root, ())))]
        if root in done:
            continue
        path[root] = None
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop(node)
                done.add(node)
            elif following in path:
                ids = list(path)
                return (*ids[ids.index(following) :], following)
            elif following not in done:
                path[following] = None
                stack.append((following, iter(edges.get(following, ()))))
    return None


def _check_dependency(dependency: Dependency, array_size: int | None, sizes: Mapping[str, int | None]) -> None:
    match dependency.type:
        case None:
            if not dependency.job_id:
                raise BadDependency("A dependency without a type needs a jobId.")
        case "SEQUENTIAL":
            if array_size is None:
                raise BadDependency("A SEQUENTIAL dependency is for array jobs.")
        case "N_TO_N":
            if array_size is None:
                raise BadDependency("An N_TO_N dependency is for array jobs.")
            if not dependency.job_id:
                raise BadDependency("An N_TO_N dependency needs a jobId.")
        case unknown:
            raise BadDependency(f"Unknown dependency type {unknown!r}: N_TO_N or SEQUENTIAL.")
    if dependency.job_id and dependency.job_id not in sizes:
        raise BadDependency(f"Job {dependency.job_id} does not exist.")
    if dependency.type == "N_TO_N" and dependency.job_id and sizes[dependency.job_id] != array_size:
        raise BadDependency(f"Job {dependency.job_id} is not an array job of size {array_size}.")
