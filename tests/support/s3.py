"""An S3-compatible store on loopback, for as long as the tests run, and a fresh bucket for each test that asks."""

import logging
import threading
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config

from kit.ids import new_id
from registry.storage.s3 import Bucket

KEYS = {"access_key_id": "AKIATESTS3", "secret_access_key": "secret"}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of the store."""
    # Imported here, since every test run loads this file and few need what takes a second to load.
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(timeout=10)
    server.server_close()


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> Bucket:
    """A bucket of one's own."""
    name = f"berth-{new_id()}"
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"],
        aws_secret_access_key=KEYS["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=name)
    client.close()
    return Bucket(name=name, prefix="registry", endpoint=s3_endpoint, **KEYS)
