"""Images, as every runtime driver keeps, makes and removes them."""

import io
import tarfile
from datetime import timedelta

import pytest

from agent.pause import pause_tar
from agent.runtime import Hindered, ImageMissing, Refused, Status
from kit.clock import monotonic
from tests.conformance.runtime_rigs import Rig


def test_an_image_that_is_not_there_is_missing(rig: Rig) -> None:
    assert not rig.runtime.has_image("127.0.0.1:9/never:made")
    with pytest.raises(ImageMissing):
        rig.create("c", "127.0.0.1:9/never:made")
    with pytest.raises(ImageMissing):
        rig.runtime.image("127.0.0.1:9/never:made")
    # No registry there, or one without the image.
    with pytest.raises((Hindered, Refused)):
        rig.runtime.pull("127.0.0.1:9/never:made", None, lambda: False)


def test_an_imported_image_runs(rig: Rig) -> None:
    image = f"berth-test/pause:{rig.run}"
    architecture = rig.runtime.info().architecture
    rig.runtime.import_image(
        image, pause_tar(architecture), ('ENTRYPOINT ["/pause"]', f"LABEL berth.test.contract={rig.run}")
    )
    assert rig.runtime.has_image(image)
    body = {"Image": image, "Labels": rig.labels, "HostConfig": {}}
    container = rig.runtime.create(rig.name("pause"), body)
    rig.runtime.start(container)
    assert rig.runtime.inspect(container).status is Status.RUNNING
    before = monotonic()
    rig.runtime.stop(container, timedelta(seconds=30))
    assert monotonic() - before < 15, "the pause program must end at once when told to"
    assert rig.runtime.inspect(container).status is Status.EXITED


def test_an_image_is_kept_while_a_container_has_it_and_removed_by_its_name_or_id(rig: Rig) -> None:
    image = f"berth-test/kept:{rig.run}"
    tar = pause_tar(rig.runtime.info().architecture)
    rig.runtime.import_image(image, tar, ('ENTRYPOINT ["/pause"]', f"LABEL berth.test.contract={rig.run}"))
    found = rig.runtime.image(image)
    assert image in found.names
    assert rig.runtime.image(found.id).id == found.id
    assert found.id not in rig.runtime.images_in_use()
    rig.runtime.create(rig.name("c"), {"Image": image, "Labels": rig.labels, "HostConfig": {}})
    assert found.id in rig.runtime.images_in_use()
    for name in (image, found.id):
        with pytest.raises(Refused):
            rig.runtime.remove_image(name)
    assert rig.runtime.has_image(image)
    rig.runtime.remove(rig.name("c"))
    for _ in range(2):
        rig.runtime.remove_image(image)
    assert not rig.runtime.has_image(image)
    with pytest.raises(ImageMissing):
        rig.runtime.image(found.id)


def test_the_pause_image_holds_one_program_and_is_always_the_same() -> None:
    assert pause_tar("x86_64") == pause_tar("x86_64")
    with tarfile.open(fileobj=io.BytesIO(pause_tar("aarch64"))) as tar:
        assert tar.getnames() == ["pause"]
