"""Layers are read in order, within limits, and with what higher ones take away taken away."""

import gzip
import io
import random
import tarfile
import zlib

import pytest

from registry.scanning.layers import Layers
from registry.scanning.limits import Limits, TooLarge, Unscannable, Unsupported
from registry.scanning.packages import Inventory, read_inventory
from registry.scanning.streams import Budget, LayerStream
from registry.scanning.tars import Archive
from tests.unit.registry.scanning.archives import (
    ALPINE,
    DEBIAN,
    ROCKY,
    apk,
    dpkg,
    layer,
    members,
    rpm_header,
    rpmdb,
)

STATUS = "var/lib/dpkg/status"
ENDLESS = (
    "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT x'00' AS blob FROM n"
)


def found_in(*blobs: bytes, limits: Limits | None = None) -> Inventory:
    limits = limits or Limits()
    budget, layers = Budget(limits), Layers(limits)
    for number, blob in enumerate(blobs):
        layers.add(f"sha256:{number}", io.BytesIO(blob), budget)
    return layers.inventory()


def names(inventory: Inventory) -> list[str]:
    return [f"{package.name} {package.version}" for package in inventory.packages]


def test_every_package_manager_is_read() -> None:
    inventory = found_in(
        layer(
            {
                "etc/os-release": DEBIAN,
                STATUS: dpkg("libssl3=3.0.11-1<openssl (3.0.11-1~deb12u1)", "bash=5.2.15-2+b2<bash (5.2.15-2)"),
                "lib/apk/db/installed": apk("musl=1.2.4-r2"),
                "var/lib/rpm/rpmdb.sqlite": rpmdb(
                    rpm_header("bash", "5.1.8", "6.el9", source="bash-5.1.8-6.el9.src.rpm"),
                    rpm_header("openssl-libs", "3.0.7", "24.el9", epoch=1, source="openssl-3.0.7-24.el9.src.rpm"),
                    rpm_header("gpg-pubkey", "1", "2"),
                ),
                "usr/lib/python3/dist-packages/Zope.Interface-6.0.dist-info/METADATA": (
                    b"Metadata-Version: 2.1\nName: Zope.Interface\nVersion: 6.0\nLicense: ZPL\n\nVersion: text\n"
                ),
                "usr/lib/python3/dist-packages/six.egg-info": b"Name: six\nVersion: 1.16.0\n",
                "opt/x.egg-info/PKG-INFO": b"Name: x\r\nVersion: 1\r\n",
                "app/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0", "license": 1}',
                "app/node_modules/@types/node/package.json": b'{"name": "@types/node", "version": "20.0.0"}',
                "app/node_modules/left-pad/dist/package.json": b'{"name": "no", "version": "1"}',
                "app/package.json": b'{"name": "no", "version": "1"}',
            }
        )
    )
    assert [(each.type, each.name, each.version) for each in inventory.packages] == [
        ("apk", "musl", "1.2.4-r2"),
        ("deb", "bash", "5.2.15-2+b2"),
        ("deb", "libssl3", "3.0.11-1"),
        ("npm", "@types/node", "20.0.0"),
        ("npm", "left-pad", "1.3.0"),
        ("pypi", "six", "1.16.0"),
        ("pypi", "x", "1"),
        ("pypi", "zope-interface", "6.0"),
        ("rpm", "bash", "5.1.8-6.el9"),
        ("rpm", "openssl-libs", "1:3.0.7-24.el9"),
    ]
    sources = {each.name: (each.source, each.source_version) for each in inventory.packages if each.source}
    assert sources["libssl3"] == ("openssl", "3.0.11-1~deb12u1")
    assert sources["openssl-libs"] == ("openssl", "1:3.0.7-24.el9")
    assert inventory.system is not None
    assert (inventory.system.id, inventory.system.version) == ("debian", "12")
    assert not inventory.notes
    assert read_inventory(inventory.document()) == Inventory(
        system=inventory.system, packages=list(inventory.packages), notes=[]
    )


def test_what_is_only_configured_is_not_installed() -> None:
    assert names(found_in(layer({STATUS: dpkg("a=1", state="deinstall ok config-files")}))) == []
    split = layer(
        {"var/lib/dpkg/status.d/tzdata": b"Package: tzdata\nVersion: 1\n", "var/lib/dpkg/status.d/x.md5sums": b"P"}
    )
    assert names(found_in(split)) == ["tzdata 1"]


def test_a_higher_layer_replaces_and_takes_away() -> None:
    low = layer(
        {
            STATUS: dpkg("a=1"),
            "p/A.dist-info/METADATA": b"Name: A\nVersion: 1\n",
            "q/B.egg-info": b"Name: b\nVersion: 1\n",
        }
    )
    assert names(found_in(low, layer({STATUS: dpkg("a=2")}))) == ["a 2", "a 1", "b 1"]
    assert names(found_in(low, layer({"p/.wh.A.dist-info": b""}))) == ["a 1", "b 1"]
    assert names(found_in(low, layer({"var/.wh.lib": b"", "./q/.wh.B.egg-info": b""}))) == ["a 1"]
    assert names(found_in(low, layer({"p/.wh..wh..opq": b""}))) == ["a 1", "b 1"]
    assert names(found_in(low, layer({".wh..wh..opq": b""}))) == []


def test_a_whiteout_hides_lower_layers_and_not_its_own() -> None:
    low = layer({"p/A.dist-info/METADATA": b"Name: A\nVersion: 1\n"})
    own = {"p/C.dist-info/METADATA": b"Name: C\nVersion: 3\n"}
    for high in (own | {"p/.wh..wh..opq": b""}, {"p/.wh..wh..opq": b""} | own, own | {".wh.p": b""}):
        assert names(found_in(low, layer(high))) == ["c 3"]


def test_a_file_or_link_in_the_place_of_a_folder_hides_it() -> None:
    low = layer({"p/A.dist-info/METADATA": b"Name: A\nVersion: 1\n"})
    link = tarfile.TarInfo("p")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    assert names(found_in(low, members(link))) == []
    folder = tarfile.TarInfo("p")
    folder.type = tarfile.DIRTYPE
    assert names(found_in(low, members(folder))) == ["a 1"]


def test_links_and_devices_are_told_and_never_followed() -> None:
    infos = []
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo(STATUS)
        info.type, info.linkname = kind, "/etc/passwd"
        infos.append(info)
    assert names(found_in(members(*infos))) == []
    outside = layer({"../../var/lib/dpkg/status": dpkg("a=1"), "/var/lib/dpkg/status": dpkg("b=1")})
    assert names(found_in(outside)) == ["b 1"]


def test_a_hard_link_is_the_file_it_is_made_from() -> None:
    link = tarfile.TarInfo("b/node_modules/x/package.json")
    link.type, link.linkname = tarfile.LNKTYPE, "a/node_modules/x/package.json"
    low = layer({"a/node_modules/x/package.json": b'{"name": "x", "version": "1.0.0"}'})
    both = found_in(low, members(link), layer({".wh.a": b""}))
    assert names(both) == ["x 1.0.0"]


def test_what_cannot_be_read_is_noted_and_the_rest_is_read() -> None:
    blob = layer(
        {
            "node_modules/a/package.json": b"{" * 5000,
            "node_modules/b/package.json": b"[" * 200_000,
            "node_modules/c/package.json": b'{"name": [1], "version": 1}',
            "node_modules/d/package.json": b"{}" + b" " * 2**20,
            "p/A.dist-info/METADATA": b"\xff\xfe",
            "var/lib/rpm/rpmdb.sqlite": b"SQLite format 3\0" + b"\xff" * 4096,
            "usr/lib/sysimage/rpm/Packages.db": b"RpmP",
            STATUS: dpkg("a=1"),
        }
    )
    inventory = found_in(blob)
    assert names(inventory) == ["a 1"]
    assert [note.partition(":")[0] for note in inventory.notes] == [
        "node_modules/a/package.json",
        "node_modules/b/package.json",
        "node_modules/c/package.json",
        "node_modules/d/package.json",
        "p/A.dist-info/METADATA",
        "var/lib/rpm/rpmdb.sqlite",
        "usr/lib/sysimage/rpm/Packages.db",
    ]


@pytest.mark.parametrize(
    "database",
    [
        rpmdb(schema=ENDLESS),
        rpmdb(schema="CREATE TABLE Other (blob)"),
        rpmdb(b"\xff" * 8),
        rpmdb(b""),
        rpmdb(rpm_header("", "1", "1")),
        rpmdb(rpm_header("a", "1", "1")[:-40]),
    ],
)
def test_a_hostile_rpm_database_is_noted(database: bytes) -> None:
    inventory = found_in(layer({"etc/os-release": ROCKY, "var/lib/rpm/rpmdb.sqlite": database}))
    assert names(inventory) == []
    assert len(inventory.notes) == 1


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    limits = Limits(decompressed=2**20, ratio_from=2**19, ratio=250)
    with pytest.raises(TooLarge, match="compressed more than 250 times"):
        found_in(layer({"zeros": bytes(2**21)}), limits=limits)
    noise = random.Random(1).randbytes(2**21)
    with pytest.raises(TooLarge, match="more than 1048576 bytes"):
        found_in(layer({"noise": noise}), limits=limits)
    with pytest.raises(TooLarge, match="more than 1048576 bytes"):
        found_in(layer({"noise": noise[: 2**19]}), layer({"noise": noise[: 2**19]}), limits=limits)
    with pytest.raises(TooLarge, match="more than 5 entries"):
        found_in(layer({str(number): b"" for number in range(6)}), limits=Limits(entries=5))


def test_headers_are_bounded_too() -> None:
    long = tarfile.TarInfo("x" * 5000)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with pytest.raises(TooLarge, match="more than 4096 characters"):
            found_in(members(long, form=form))
    # The header claims a gibibyte, which nobody is to hold in memory.
    header = bytearray(members(long)[:512])
    header[124:136] = b"%011o\0" % 2**30
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(TooLarge, match="header of 1073741824 bytes"):
        found_in(bytes(header) + bytes(2**20))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_are_read_in_every_form(form: int) -> None:
    name = f"{'d' * 90}/{'e' * 60 if form == tarfile.USTAR_FORMAT else 'e' * 200}/näme"
    info = tarfile.TarInfo(name)
    blob = members(info, form=form)
    budget = Budget(Limits())
    assert [entry.path for entry in Archive(LayerStream(io.BytesIO(blob), budget), budget)] == [name]


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (b"layer", "too early"),
        (b"x" * 512, "a number in a header is none"),
        (b"1" * 512, "checksum"),
        (layer({STATUS: dpkg("a=1")})[:90], "too early"),
        (layer({STATUS: b"x" * 5000}, compress=False)[:3000], "too early"),
        (layer({STATUS: b"x" * 50_000})[:40] + b"\xff" * 200, "damaged"),
        (gzip.compress(b"x" * 512, mtime=0)[:-4] + b"abcd", "damaged"),
    ],
)
def test_what_is_no_layer_is_refused_with_a_reason(blob: bytes, why: str) -> None:
    with pytest.raises(Unscannable, match=why):
        found_in(blob)


def test_other_compressions_are_told() -> None:
    with pytest.raises(Unsupported, match="zstd"):
        found_in(b"\x28\xb5\x2f\xfd" + bytes(100))


def test_gzip_members_may_follow_one_another_and_padding_them() -> None:
    blob = layer({"etc/os-release": ALPINE, "lib/apk/db/installed": apk("a=1-r0")}, compress=False)
    halves = gzip.compress(blob[:700], mtime=0) + gzip.compress(blob[700:], mtime=0) + bytes(1000)
    assert names(found_in(halves)) == ["a 1-r0"]
    assert names(found_in(b"")) == []


def test_nothing_that_is_changed_in_a_layer_makes_more_than_a_refusal() -> None:
    whole = layer(
        {STATUS: dpkg("a=1", "b=2<c (3)"), "node_modules/a/package.json": b'{"name": "a", "version": "1"}'},
        compress=False,
    )
    chance = random.Random(4)
    for _ in range(400):
        blob = bytearray(whole[:2560])
        for _ in range(chance.randrange(1, 6)):
            blob[chance.randrange(len(blob))] = chance.choice((0, 0xFF, 0x80, chance.randrange(256)))
        # With good checksums, so that what lies behind them is reached.
        for start in range(0, len(blob) - 511, 512):
            if blob[start + 257 : start + 262] == b"ustar":
                blob[start + 148 : start + 156] = b" " * 8
                blob[start + 148 : start + 156] = b"%06o\0 " % sum(blob[start : start + 512])
        for form in (bytes(blob), zlib.compress(bytes(blob), wbits=31)):
            try:
                found_in(form)
            except Unscannable as refused:
                assert str(refused)
