"""apk: ``lib/apk/db/installed``, fields of one letter. Source: Alpine wiki, "Apk spec", installed database."""

from collections.abc import Sequence

from registry.scanning.packages import APK, Package


def read_installed(body: bytes) -> Sequence[Package]:
    """The packages installed."""
    found = []
    fields: dict[str, str] = {}
    for line in [*body.decode("utf-8", "replace").split("\n"), ""]:
        if line:
            # Letters differ in case; files and their modes repeat and are not asked for.
            fields.setdefault(line[0], line[2:].strip() if line[1:2] == ":" else "")
            continue
        if fields.get("P") and fields.get("V"):
            found.append(
                Package(
                    type=APK,
                    name=fields["P"],
                    version=fields["V"],
                    arch=fields.get("A", ""),
                    source=fields.get("o") or fields["P"],
                    source_version=fields["V"],
                    license=fields.get("L", ""),
                )
            )
        fields = {}
    return found
