"""Versions: what an agent says of itself and its engine when it dials.

The official agent says so nowhere else: it registers without them.
"""

import logging
from urllib.parse import parse_qs

from state.container_instances import ContainerInstance
from state.store import Session, Store, StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
MEMBERS = ("agentVersion", "agentHash", "dockerVersion")
LONGEST = 255


def note_versions(store: Store, instance_id: str, query: str) -> None:
    """Keep the versions in a handshake's query where they are news. It may be left out: the next dial says them again.

    Nothing is written for an agent that has told the same before.
    """
    said = {name: value[0][:LONGEST] for name, value in parse_qs(query).items() if name in MEMBERS}

    def is_news(session: Session) -> bool:
        instance = session.get(ContainerInstance, instance_id)
        return instance is not None and {**instance.version_info, **said} != instance.version_info

    def write(session: Session) -> None:
        instance = session.get(ContainerInstance, instance_id, with_for_update=True)
        if instance is not None:
            instance.version_info = {**instance.version_info, **said}

    if not said:
        return
    try:
        if store.read(is_news):
            store.transact(write)
    except (StoreBusy, StoreUnavailable) as trouble:
        log.warning("versions not kept", extra={"instance": instance_id, "because": str(trouble)})
