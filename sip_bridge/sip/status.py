"""SIP status codes: IANA's registry, and a member for every number that it does not know."""

from enum import IntEnum
from typing import Self


class SIPStatus(IntEnum):
    """A status code with ``value``, ``phrase`` and ``description``.

    ``SIPStatus(299)`` is legal too: an unregistered code keeps its number, carries the name ``UNKNOWN_299`` and acts
    as the x00 of its class (RFC 3261 §8.1.3.2). Numbers outside 100 to 699 raise ValueError.
    """

    phrase: str
    description: str

    def __new__(cls, value: int, phrase: str = "", description: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.phrase = phrase
        member.description = description
        return member

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 100 <= value <= 699:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        generic = cls._value2member_map_.get(value // 100 * 100)
        member.phrase = getattr(generic, "phrase", "")
        member.description = f"Not registered; treated as {value // 100}00"
        return cls._value2member_map_.setdefault(value, member)  # type: ignore[return-value]  # 600 codes at the most

    def __str__(self) -> str:
        return f"{self.value} {self.phrase}"

    @property
    def is_provisional(self) -> bool:
        """1xx."""
        return self < 200

    @property
    def is_final(self) -> bool:
        """2xx to 6xx."""
        return self >= 200

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self < 300

    TRYING = 100, "Trying", "Extended search being performed, may take a significant time"
    RINGING = 180, "Ringing", "Destination user agent received INVITE, and is alerting user of call"
    FORWARDED = 181, "Call Is Being Forwarded", "The call goes on to another destination"
    QUEUED = 182, "Queued", "The callee is busy and keeps the call waiting"
    SESSION_PROGRESS = 183, "Session Progress", "What happens to the call, often with audio before the answer"
    TERMINATED = 199, "Early Dialog Terminated", "One branch of a forked call has ended"

    OK = 200, "OK", "Request successful"
    ACCEPTED = 202, "Accepted", "Understood, the outcome is still open"
    NO_NOTIFICATION = 204, "No Notification", "Subscribed, and no notification will follow"

    MULTIPLE_CHOICES = 300, "Multiple Choices", "Several places to try"
    MOVED_PERMANENTLY = 301, "Moved Permanently", "The callee has a new address for good"
    MOVED_TEMPORARILY = 302, "Moved Temporarily", "The callee has another address for now"
    USE_PROXY = 305, "Use Proxy", "Only reachable through the proxy named in Contact"
    ALTERNATIVE_SERVICE = 380, "Alternative Service", "The call failed, another service may do"
    ALTERNATE_SERVICE = ALTERNATIVE_SERVICE

    BAD_REQUEST = 400, "Bad Request", "The request is malformed"
    UNAUTHORIZED = 401, "Unauthorized", "A user agent or registrar asks for credentials"
    PAYMENT_REQUIRED = 402, "Payment Required", "Reserved"
    FORBIDDEN = 403, "Forbidden", "Understood and refused; credentials won't help"
    NOT_FOUND = 404, "Not Found", "Nobody of that name here"
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed", "That method is not allowed for this address"
    NOT_ACCEPTABLE = 406, "Not Acceptable", "Nothing here satisfies the Accept header"
    PROXY_AUTHENTICATION_REQUIRED = 407, "Proxy Authentication Required", "A proxy asks for credentials"
    REQUEST_TIMEOUT = 408, "Request Timeout", "No answer in time"
    CONFLICT = 409, "Conflict", "Clashes with the state of the resource (obsolete)"
    GONE = 410, "Gone", "Was here, is not, and left no address"
    LENGTH_REQUIRED = 411, "Length Required", "Content-Length is missing (obsolete)"
    CONDITIONAL_REQUEST_FAILED = 412, "Conditional Request Failed", "The entity tag does not match"
    REQUEST_ENTITY_TOO_LARGE = 413, "Request Entity Too Large", "The body is larger than the server takes"
    REQUEST_URI_TOO_LONG = 414, "Request-URI Too Long", "The Request-URI is longer than the server takes"
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type", "The body's type is not supported, see Accept"
    UNSUPPORTED_URI_SCHEME = 416, "Unsupported URI Scheme", "The scheme of the Request-URI is unknown"
    UNKNOWN_RESOURCE_PRIORITY = 417, "Unknown Resource-Priority", "No priority value is understood"
    UNKOWN_RESOURCE_PRIORITY = UNKNOWN_RESOURCE_PRIORITY
    BAD_EXTENSION = 420, "Bad Extension", "A required extension is not supported, see Unsupported"
    EXTENSION_REQUIRED = 421, "Extension Required", "The server needs an extension, see Require"
    SESSION_INTERVAL_TOO_SMALL = 422, "Session Interval Too Small", "Session-Expires is below Min-SE"
    INTERVAL_TOO_BRIEF = 423, "Interval Too Brief", "The expiry asked for is below Min-Expires"
    SESSION_INTERVAL_TOO_BRIEF = INTERVAL_TOO_BRIEF
    BAD_LOCATION_INFORMATION = 424, "Bad Location Information", "The location is malformed or insufficient"
    BAD_ALERT_MESSAGE = 425, "Bad Alert Message", "The alert can't be processed"
    USE_IDENTITY_HEADER = 428, "Use Identity Header", "An Identity header is needed"
    PROVIDE_REFERRER_IDENTITY = 429, "Provide Referrer Identity", "A valid Referred-By token is needed"
    FLOW_FAILED = 430, "Flow Failed", "The connection to the user agent is gone"
    ANONYMITY_DISALLOWED = 433, "Anonymity Disallowed", "Anonymous callers are refused"
    BAD_IDENTITY_INFO = 436, "Bad Identity Info", "The Identity's information can't be fetched"
    UNSUPPORTED_CREDENTIAL = 437, "Unsupported Credential", "The certificate can't be validated"
    UNSUPPORTED_CERTIFICATE = UNSUPPORTED_CREDENTIAL
    INVALID_IDENTITY_HEADER = 438, "Invalid Identity Header", "The signature does not match"
    FIRST_HOP_LACKS_OUTBOUND_SUPPORT = 439, "First Hop Lacks Outbound Support", "The first proxy lacks RFC 5626"
    MAX_BREADTH_EXCEEDED = 440, "Max-Breadth Exceeded", "Too many parallel forks"
    BAD_INFO_PACKAGE = 469, "Bad Info Package", "The Info package is unknown, see Recv-Info"
    CONSENT_NEEDED = 470, "Consent Needed", "The recipient has not consented"
    TEMPORARILY_UNAVAILABLE = 480, "Temporarily Unavailable", "The callee can't be reached just now"
    CALL_OR_TRANSACTION_DOESNT_EXIST = 481, "Call/Transaction Does Not Exist", "No such dialog or transaction"
    LOOP_DETECTED = 482, "Loop Detected", "The request came back or came twice"
    TOO_MANY_HOPS = 483, "Too Many Hops", "Max-Forwards reached zero"
    ADDRESS_INCOMPLETE = 484, "Address Incomplete", "More digits are needed"
    AMBIGUOUS = 485, "Ambiguous", "The name fits several users"
    BUSY_HERE = 486, "Busy Here", "Callee is busy"
    REQUEST_TERMINATED = 487, "Request Terminated", "Ended by CANCEL or BYE"
    NOT_ACCEPTABLE_HERE = 488, "Not Acceptable Here", "Nothing in the session description can be done here"
    BAD_EVENT = 489, "Bad Event", "The event package is unknown, see Allow-Events"
    REQUEST_PENDING = 491, "Request Pending", "Another request of the same dialog is open"
    UNDECIPHERABLE = 493, "Undecipherable", "The encrypted body can't be read"
    SECURITY_AGREEMENT_REQUIRED = 494, "Security Agreement Required", "A security agreement is needed first"

    SERVER_INTERNAL_ERROR = 500, "Server Internal Error", "Something unexpected stopped the server"
    INTERNAL_SERVER_ERROR = SERVER_INTERNAL_ERROR
    NOT_IMPLEMENTED = 501, "Not Implemented", "The method is unknown here"
    BAD_GATEWAY = 502, "Bad Gateway", "A server further on gave an invalid answer"
    SERVICE_UNAVAILABLE = 503, "Service Unavailable", "Overloaded or under maintenance, see Retry-After"
    SERVER_TIMEOUT = 504, "Server Time-out", "A server further on did not answer in time"
    GATEWAY_TIMEOUT = SERVER_TIMEOUT
    VERSION_NOT_SUPPORTED = 505, "Version Not Supported", "Not SIP/2.0"
    SIP_VERSION_NOT_SUPPORTED = VERSION_NOT_SUPPORTED
    MESSAGE_TOO_LARGE = 513, "Message Too Large", "The message is longer than the server takes"
    MESSAGE_TOO_LONG = MESSAGE_TOO_LARGE
    PUSH_NOTIFICATION_SERVICE_NOT_SUPPORTED = 555, "Push Notification Service Not Supported", "See RFC 8599"
    PRECONDITION_FAILURE = 580, "Precondition Failure", "A precondition can't be met"

    BUSY_EVERYWHERE = 600, "Busy Everywhere", "Busy at every place"
    DECLINE = 603, "Decline", "The callee does not want the call"
    DOES_NOT_EXIST_ANYWHERE = 604, "Does Not Exist Anywhere", "Nobody of that name at any place"
    NOT_ACCEPTABLE_ANYWHERE = 606, "Not Acceptable", "The session description can't be done at any place"
    GLOBAL_NOT_ACCEPTABLE = NOT_ACCEPTABLE_ANYWHERE
    UNWANTED = 607, "Unwanted", "The callee calls this a nuisance"
    REJECTED = 608, "Rejected", "A machine between refused the call"
