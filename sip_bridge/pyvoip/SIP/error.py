"""What SIP raises."""

from sip_bridge.errors import InvalidAccountInfoError, SIPParseError

__all__ = ["InvalidAccountInfoError", "RetryRequiredError", "SIPParseError"]


class RetryRequiredError(Exception):
    """Never raised here: a request that has to be sent again is."""
