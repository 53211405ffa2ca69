"""Severities: how bad a vulnerability is, in ECR's words, from a CVSS vector or from what somebody said.

Source: FIRST, CVSS v3.1 specification, 7.1 and appendix A; CVSS v2 guide, 3.2.1; NVD's qualitative scale for v2.
CVSS v4 is told and not computed: its scores are a table of 270 rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# The worst first: findings are sorted by it.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
_WORDS = {
    "CRITICAL": "CRITICAL",
    "HIGH": "HIGH",
    "IMPORTANT": "HIGH",
    "MEDIUM": "MEDIUM",
    "MODERATE": "MEDIUM",
    "LOW": "LOW",
    "MINOR": "LOW",
    "NEGLIGIBLE": "INFORMATIONAL",
    "UNIMPORTANT": "INFORMATIONAL",
    "NONE": "INFORMATIONAL",
}
_V3 = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
    "UI": {"N": 0.85, "R": 0.62},
    "S": {"U": 0.0, "C": 1.0},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_V2 = {
    "AV": {"L": 0.395, "A": 0.646, "N": 1.0},
    "AC": {"H": 0.35, "M": 0.61, "L": 0.71},
    "Au": {"M": 0.45, "S": 0.56, "N": 0.704},
    "C": {"N": 0.0, "P": 0.275, "C": 0.66},
    "I": {"N": 0.0, "P": 0.275, "C": 0.66},
    "A": {"N": 0.0, "P": 0.275, "C": 0.66},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cvss:
    """A vector with its base score; ``version`` is 2 or 3."""

    version: int
    vector: str
    score: float


def severity_of_word(word: Any) -> str | None:
    """The severity that a distribution's word means; None for words of doubt such as ``not yet assigned``."""
    return _WORDS.get(word.strip().upper()) if isinstance(word, str) else None


def severity_of_score(score: float) -> str:
    if score >= 9:
        return "CRITICAL"
    if score >= 7:
        return "HIGH"
    if score >= 4:
        return "MEDIUM"
    return "LOW" if score > 0 else "INFORMATIONAL"


def read_cvss(vector: Any) -> Cvss | None:
    """The vector with its base score; None for what is no vector of versions 2 and 3."""
    if not isinstance(vector, str) or len(vector) > 200:
        return None
    text = vector.strip("() ")
    if text.startswith(("CVSS:3.0/", "CVSS:3.1/")):
        metrics = _metrics(text.partition("/")[2], _V3)
        return None if metrics is None else Cvss(version=3, vector=text, score=_score_v3(metrics))
    metrics = _metrics(text.removeprefix("CVSS:2.0/"), _V2)
    return None if metrics is None else Cvss(version=2, vector=text, score=_score_v2(metrics))


def best_cvss(vectors: Iterable[Any]) -> Cvss | None:
    """Of several, that of the latest version, and of those the worst."""
    found = [cvss for cvss in map(read_cvss, vectors) if cvss is not None]
    return max(found, key=lambda cvss: (cvss.version, cvss.score), default=None)


def rank(severity: str) -> int:
    """0 for the worst."""
    return SEVERITIES.index(severity)


def count(severities: Iterable[str]) -> dict[str, int]:
    """How many there are of each that there is, the worst first."""
    found = list(severities)
    return {severity: found.count(severity) for severity in SEVERITIES if severity in found}


def _metrics(text: str, known: Mapping[str, Mapping[str, float]]) -> dict[str, float] | None:
    said = dict(part.split(":", 1) for part in text.split("/") if ":" in part)
    try:
        return {metric: values[said[metric]] for metric, values in known.items()}
    except KeyError:
        return None


def _score_v3(metrics: Mapping[str, float]) -> float:
    changed = metrics["S"] == 1.0
    privileges = metrics["PR"]
    if changed:
        privileges = {0.62: 0.68, 0.27: 0.5}.get(privileges, privileges)
    loss = 1 - (1 - metrics["C"]) * (1 - metrics["I"]) * (1 - metrics["A"])
    impact = 7.52 * (loss - 0.029) - 3.25 * (loss - 0.02) ** 15 if changed else 6.42 * loss
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * metrics["AV"] * metrics["AC"] * privileges * metrics["UI"]
    return _round_up(min((1.08 if changed else 1.0) * (impact + exploitability), 10))


def _round_up(value: float) -> float:
    """To one decimal, upwards, without being misled by what floating point leaves behind."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def _score_v2(metrics: Mapping[str, float]) -> float:
    impact = 10.41 * (1 - (1 - metrics["C"]) * (1 - metrics["I"]) * (1 - metrics["A"]))
    exploitability = 20 * metrics["AV"] * metrics["AC"] * metrics["Au"]
    return round((0.6 * impact + 0.4 * exploitability - 1.5) * (0 if impact == 0 else 1.176), 1)
