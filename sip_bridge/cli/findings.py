"""What the doctor finds."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    HINT = "hint"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, what was seen, and what a person can do."""

    verdict: Verdict
    subject: str
    text: str
    advice: str = ""


def ok(subject: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(verdict=Verdict.OK, subject=subject, text=text)


def hint(subject: str, text: str, advice: str) -> Finding:
    """It may do, or not."""
    return Finding(verdict=Verdict.HINT, subject=subject, text=text, advice=advice)


def problem(subject: str, text: str, advice: str) -> Finding:
    """It does not work like that."""
    return Finding(verdict=Verdict.PROBLEM, subject=subject, text=text, advice=advice)
