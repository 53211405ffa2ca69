"""What docker-compose.yml needs where no image can be pulled: a Debian made here, PostgreSQL, HAProxy and Berth on it.

The Debian is kept in the engine under a tag that names its contents, since making it takes a minute; the rest is
removed with the run.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from docker.errors import ImageNotFound

from tests.support.engine import Engine

ROOT = Path(__file__).resolve().parents[2]

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "haproxy", "postgresql", "python3", "python3-venv")

# What the official image's entrypoint does with the same variables, as far as docker-compose.yml uses them.
POSTGRES_ENTRYPOINT = """
set -eu
umask 077
data=/var/lib/postgresql/data
mkdir -p "$data"
chown postgres: "$data"
become() { setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; }
if [ ! -s "$data/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" >/tmp/password
    chown postgres: /tmp/password
    become initdb -D "$data" -U "$POSTGRES_USER" -E UTF8 -A scram-sha-256 --pwfile=/tmp/password
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    become pg_ctl -D "$data" -o "-c listen_addresses=''" -w start
    PGPASSWORD=$POSTGRES_PASSWORD createdb -h /var/run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
    become pg_ctl -D "$data" -m fast -w stop
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups -- postgres -D "$data" -c "listen_addresses=*"
"""


def debian_image(engine: Engine) -> str:
    """The tag of a Debian with ``PACKAGES``, made with debootstrap unless the engine has it already; needs root."""
    contents = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]
    tag = f"berth-test/debian:{contents}"
    try:
        engine.client.images.get(tag)
    except ImageNotFound:
        _import_debian(engine, tag)
    return tag


def postgres_image(engine: Engine) -> str:
    """An image that answers to the variables of the official ``postgres`` image."""
    base = debian_image(engine)
    return _derive(
        engine,
        "postgres",
        f"FROM {base}\n"
        "RUN ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ && rm -rf /var/lib/postgresql/*"
        " && chmod 3777 /var/run/postgresql\n"
        "COPY entrypoint /usr/local/bin/entrypoint\n"
        'ENTRYPOINT ["sh", "/usr/local/bin/entrypoint"]\n'
        # Not to wait until its clients are gone.
        "STOPSIGNAL SIGINT\n",
        {"entrypoint": POSTGRES_ENTRYPOINT},
    )


def build_context(directory: Path) -> Path:
    """A copy, in ``directory``, of what the builder is sent and of docker-compose.yml: nobody edits it meanwhile."""
    subprocess.run([ROOT / ".ci/wheels", ROOT / "wheels", "3.11"], check=True)
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    files = ("Dockerfile", ".dockerignore", "docker-compose.yml", "haproxy.cfg")
    subprocess.run(["cp", "--archive", *files, *sent, directory], cwd=ROOT, check=True)
    return directory


def build_stage(engine: Engine, base: str, context: Path) -> str:
    """Build the Dockerfile's first stage on ``base``, without network; answers its tag.

    The other stages need no more than what this one made, and find it in the builder's cache. They are labelled, but
    the builder labels last stages only: a tag for this one lets its layers go with the run, too.
    """
    return _build(engine, "build", context, "--target", "build", "--build-arg", f"BASE_IMAGE={base}")


def docker_cli(engine: Engine, *words: str) -> str:
    """Run the docker command line on ``engine`` with the builder that every engine has; returns what it printed."""
    environment = {**os.environ, "DOCKER_HOST": engine.host, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(["docker", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def _import_debian(engine: Engine, tag: str) -> None:
    subprocess.run([ROOT / ".ci/setup", "compose"], check=True)
    with tempfile.TemporaryDirectory(prefix="berth-debian-") as directory:
        tree = Path(directory) / "tree"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, tree],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"debootstrap failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        packed = Path(directory) / "tree.tar"
        subprocess.run(
            ["tar", "-C", tree, "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "-cf", packed, "."],
            check=True,
        )
        docker_cli(engine, "import", str(packed), tag)


def _derive(engine: Engine, name: str, dockerfile: str, files: dict[str, str]) -> str:
    with tempfile.TemporaryDirectory(prefix="berth-image-") as directory:
        for path, text in {"Dockerfile": dockerfile, **files}.items():
            (Path(directory) / path).write_text(text)
        return _build(engine, name, Path(directory))


def _build(engine: Engine, name: str, directory: Path, *options: str) -> str:
    tag = f"berth-test/{name}:{engine.run}"
    labels = [word for key, value in engine.labels.items() for word in ("--label", f"{key}={value}")]
    docker_cli(engine, "build", "--quiet", "--network=none", *options, *labels, "--tag", tag, str(directory))
    return tag
