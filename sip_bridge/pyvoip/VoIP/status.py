"""PhoneStatus: where a phone stands."""

from enum import Enum


class PhoneStatus(Enum):
    """Where a phone stands at its registrar."""

    INACTIVE = "INACTIVE"
    REGISTERING = "REGISTERING"
    REGISTERED = "REGISTERED"
    DEREGISTERING = "DEREGISTERING"
    FAILED = "FAILED"
