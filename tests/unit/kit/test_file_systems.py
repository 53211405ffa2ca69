"""File systems by id: what BERTH_FILE_SYSTEMS may say, and what an engine is told of each."""

import pytest

from kit.file_systems import BadFileSystems, FileSystem, mount_options, read_file_systems
from kit.settings import BadSetting, read_settings


def test_file_systems_are_read_by_id() -> None:
    assert read_file_systems(" fs-1=nfs.example:/, fs-2=[fd00::1]:/exports/b,") == {
        "fs-1": FileSystem(server="nfs.example", path="/"),
        "fs-2": FileSystem(server="fd00::1", path="/exports/b"),
    }
    assert read_file_systems("") == {}


@pytest.mark.parametrize(
    "text",
    ["fs-1", "fs-1=/a", "fs-1=host", "fs-1=host:a", "x=host:/a", "fs-1=h:/a b", "fs-1=h:/a/../b", "fs-1=h:/,fs-1=h:/b"],
)
def test_what_names_no_file_system_is_refused(text: str) -> None:
    with pytest.raises(BadFileSystems):
        read_file_systems(text)
    with pytest.raises(BadSetting, match="BERTH_FILE_SYSTEMS"):
        read_settings({"BERTH_FILE_SYSTEMS": text})


def test_a_directory_is_beneath_the_export() -> None:
    root, deep = FileSystem(server="h", path="/"), FileSystem(server="h", path="/a/")
    assert mount_options(root, "/")["device"] == ":/"
    assert mount_options(root, "/x")["device"] == ":/x"
    assert mount_options(deep, "/x/y")["device"] == ":/a/x/y"
