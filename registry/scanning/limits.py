"""Limits: how much of an image is read before it is refused, and how refusals are told."""

from dataclasses import dataclass

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Unscannable(Exception):
    """The image cannot be scanned; the message says why. ``status`` is what the scan ends with."""

    status = "FAILED"


class Unsupported(Unscannable):
    """The image is of a kind that is not scanned."""

    status = "UNSUPPORTED_IMAGE"


class TooLarge(Unscannable):
    """The image is larger than is scanned."""

    status = "IMAGE_SIZE_EXCEEDED"


class Unreadable(Exception):
    """A package database or file is not what its name says; the rest of the image is read all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, unless said otherwise."""

    layers: int = 500
    compressed: int = 10 * GIB
    # Of one image, its layers taken together.
    decompressed: int = 32 * GIB
    # Decompressed to compressed, asked once a layer has grown beyond ``ratio_from``: deflate reaches 1,032.
    ratio: int = 250
    ratio_from: int = 512 * MIB
    entries: int = 3_000_000
    # Of one entry: its name and what else pax headers say of it.
    header: int = MIB
    path: int = 4096
    # Of one manifest, such as package.json or METADATA.
    document: int = MIB
    # Of one package manager's list.
    database: int = 64 * MIB
    # Of an rpm database, which goes through a temporary file.
    rpm_database: int = 512 * MIB
    packages: int = 50_000


LIMITS = Limits()
