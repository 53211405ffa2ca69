"""npm: ``package.json`` beneath ``node_modules``. Source: docs.npmjs.com, "package.json"."""

import json
from collections.abc import Sequence

from registry.scanning.limits import Unreadable
from registry.scanning.packages import NPM, Package


def read_package_json(body: bytes) -> Sequence[Package]:
    """The one package the file is of; none for files that only say how a folder is loaded. Raises Unreadable."""
    document = json.loads(body.decode("utf-8", "replace").removeprefix("\ufeff"))
    if not isinstance(document, dict):
        raise Unreadable("it is no JSON object")
    name, version, license = document.get("name"), document.get("version"), document.get("license")
    if not name or not version:
        return []
    if not (isinstance(name, str) and isinstance(version, str)) or len(name) > 214 or len(version) > 256:
        raise Unreadable("its name or version is no text of an npm package")
    return [Package(type=NPM, name=name, version=version, license=license[:200] if isinstance(license, str) else "")]
