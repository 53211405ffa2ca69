"""Private folders: made so under any umask, and refused where somebody else could write."""

import os
from pathlib import Path

import pytest

from kit.folders import SharedFolder, private_folder


def test_a_folder_is_made_for_its_owner_alone_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = private_folder(tmp_path / "share" / "berth" / "agent")
    finally:
        os.umask(before)
    assert [folder.stat().st_mode & 0o777 for folder in (made, *made.parents[:2])] == [0o700] * 3
    assert private_folder(made) == made


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_in_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(SharedFolder, match="others may write in it; chmod go-w"):
        private_folder(tmp_path)
    tmp_path.chmod(0o700)


def test_a_folder_that_others_may_only_look_into_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert private_folder(tmp_path) == tmp_path


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tmp_path.stat()
    theirs = os.stat_result((*found[:4], found.st_uid + 4711, *found[5:]))
    monkeypatch.setattr(Path, "lstat", lambda path: theirs)
    with pytest.raises(SharedFolder, match="belongs to another user"):
        private_folder(tmp_path)
