"""A pipeline as luigi's own pages write one: an ECS task, a Batch job that needs it, and one of each that fails.

Run by luigi, with its Python; what it is to use stands in the environment.
"""

import os

import luigi
from luigi.contrib.batch import BatchTask
from luigi.contrib.ecs import ECSTask


class Done(luigi.Task):
    """Leaves a mark when it is through, so that luigi knows what is done already."""

    def output(self):
        return luigi.LocalTarget(os.path.join(os.environ["MARKS"], type(self).__name__))

    def run(self):
        super().run()
        with self.output().open("w") as mark:
            mark.write("done\n")


class Prepare(Done, ECSTask):
    task_def = {
        "family": "luigi",
        "volumes": [],
        "containerDefinitions": [
            {
                "name": "main",
                "image": os.environ["IMAGE"],
                "memory": 32,
                "essential": True,
                "command": ["/bin/false"],
            }
        ],
    }
    command = [{"name": "main", "command": ["/bin/sh", "-c", "exit 0"]}]


class Compute(Done, BatchTask):
    words = luigi.Parameter(default="yes")
    poll_time = luigi.IntParameter(default=1)

    @property
    def parameters(self):
        return {"words": self.words}

    def requires(self):
        return Prepare()
