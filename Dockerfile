# Berth's processes, an image each: docker build --target api|scheduler|registry|agent --tag berth-api .
#
# BASE_IMAGE is any Debian-like image with python3 (3.11 or newer) and its venv module. A folder wheels/ beside this
# file (made by .ci/wheels) is installed from instead of a package index, so that the build needs no network.
# Needs nothing of BuildKit: the builder of Docker 20.10 will do.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
# Dependencies first: they change less often than the code. The pattern lets wheels/ be absent.
COPY pyproject.toml wheels* /wheels/
RUN if ls /wheels/*.whl >/dev/null 2>&1; then \
        printf '[global]\nno-index = true\nfind-links = /wheels\n' >/etc/pip.conf; \
    fi \
    && python3 -m venv /opt/berth \
    && python3 -c 'import tomllib; print(*tomllib.load(open("/wheels/pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        >/tmp/requirements.txt \
    && /opt/berth/bin/pip install --no-cache-dir --disable-pip-version-check --quiet -r /tmp/requirements.txt
COPY . .
RUN /opt/berth/bin/pip install --no-cache-dir --disable-pip-version-check --quiet --no-deps . \
    && /opt/berth/bin/pip uninstall --quiet --yes pip setuptools

FROM ${BASE_IMAGE} AS berth
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/berth --shell /usr/sbin/nologin berth \
    && install -d -o berth -g berth -m 0700 /var/lib/berth
COPY --from=build /opt/berth /opt/berth
# In a container the network is the container's own, so listening everywhere is not listening to everybody.
ENV PATH=/opt/berth/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BERTH_HOST=0.0.0.0 \
    BERTH_DATA=/var/lib/berth
WORKDIR /var/lib/berth
USER berth

FROM berth AS scheduler
ENTRYPOINT ["berth", "scheduler"]

FROM berth AS registry
EXPOSE 5050
ENTRYPOINT ["berth", "registry"]

FROM berth AS agent
# The engine's socket is root's. Whoever may talk to an engine is root on its host anyway.
USER root
# Root without capabilities has no more rights to another's folder than anybody.
RUN chown root: /var/lib/berth
ENTRYPOINT ["berth", "agent"]

FROM berth AS api
EXPOSE 7070
ENTRYPOINT ["berth", "api"]
