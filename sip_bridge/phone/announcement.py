"""What a call plays by itself as soon as it is answered."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What to play once a call is answered: after ``settle`` seconds, so that the first word isn't cut."""

    source: str = field(repr=False)  # it may hold a token
    settle: float = 0.5
    hangup_after: bool = False
