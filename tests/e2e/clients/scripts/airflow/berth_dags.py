"""Two DAGs for Airflow: one whose Batch job says what an ECS task logged, and one in which both fail.

Loaded by Airflow, with its Python; what it is to use stands in the environment.
"""

import os
from datetime import timedelta

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import DAG, TriggerRule

SOON = timedelta(seconds=1)


def ecs_task(task_id, *command):
    return EcsRunTaskOperator(
        task_id=task_id,
        aws_conn_id=None,
        cluster="default",
        task_definition=os.environ["TASK_DEFINITION"],
        launch_type="EC2",
        overrides={"containerOverrides": [{"name": "main", "command": [*command]}]},
        awslogs_group="/airflow",
        awslogs_stream_prefix="e2e",
        awslogs_region=os.environ["AWS_DEFAULT_REGION"],
        awslogs_fetch_interval=SOON,
        container_name="main",
        reattach=True,
        waiter_delay=1,
    )


def batch_job(task_id, words, **more):
    return BatchOperator(
        task_id=task_id,
        aws_conn_id=None,
        job_name=f"airflow-{task_id}",
        job_queue=os.environ["JOB_QUEUE"],
        job_definition=os.environ["JOB_DEFINITION"],
        parameters={"words": words},
        awslogs_enabled=True,
        awslogs_fetch_interval=SOON,
        **more,
    )


with DAG(dag_id="passes"):
    said = ecs_task("say", "sh", "-c", "echo first; echo hello from ecs")
    said >> batch_job("repeat", "{{ ti.xcom_pull(task_ids='say') }}")

with DAG(dag_id="fails"):
    failed = ecs_task("exits", "sh", "-c", "echo so long; exit 5")
    failed >> batch_job("refuses", "no", trigger_rule=TriggerRule.ALL_DONE)
