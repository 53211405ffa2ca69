"""An image: built from what the machine has, pushed with the docker CLI, deleted here so that tasks must pull it."""

import base64
import shutil
from pathlib import Path

from orchestrator.demo.screen import Say
from orchestrator.demo.stage import Stage
from orchestrator.demo.waiting import StepFailed, expect

REPOSITORY = "demo/busybox"
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
CMD ["/bin/sh"]
"""


def push_image(stage: Stage, say: Say) -> str:
    """``docker build``, ``docker login`` with a token of ECR's, ``docker push``, ``docker rmi``."""
    ecr = stage.client("ecr")
    repository = ecr.create_repository(repositoryName=REPOSITORY)["repository"]
    image = f"{repository['repositoryUri']}:1"
    context = stage.root / "image"
    context.mkdir()
    shutil.copy(_busybox(), context / "busybox")
    (context / "Dockerfile").write_text(DOCKERFILE)
    say.now("docker build")
    stage.images.append(image)
    stage.run(["docker", "build", "-q", "-t", image, str(context)])
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    say.now("docker login")
    stage.run(["docker", "login", "-u", user, "--password-stdin", stage.registry], given=password)
    say.now("docker push")
    stage.run(["docker", "push", image])
    stage.run(["docker", "rmi", "-f", image])
    expect(not stage.run(["docker", "images", "-q", image]), "no local copy of the image")
    found = ecr.describe_images(repositoryName=REPOSITORY)["imageDetails"][0]
    return f"{REPOSITORY}:1 is {found['imageDigest'][:19]}…, {found['imageSizeInBytes'] / 1e6:.1f} MB; local copy gone"


def image_of(stage: Stage) -> str:
    return f"{stage.registry}/{REPOSITORY}:1"


def _busybox() -> Path:
    """A statically linked busybox; a dynamic one would not run in an empty image."""
    for place in ("/bin/busybox", "/usr/bin/busybox"):
        if Path(place).exists():
            return Path(place)
    raise StepFailed("busybox is not installed; run: apt-get install busybox-static")
