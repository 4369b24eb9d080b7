"""The blocking door: the names, signatures and shapes of pyVoIP 2.x over the engine of `sip_bridge.phone`.

A script written for pyVoIP runs after changing its import. The settings below are read when they are needed, so they
may be changed at any time before a phone starts; docs/pyvoip.md says name by name what is the same and what is better.
"""

import ssl
from typing import Final

from sip_bridge.pyvoip.RTP import PayloadType

__all__ = ["RTP", "SIP", "VoIP"]  # submodules, as the reference lists them

version_info: Final = (2, 0, "0")  # of the API, not of sip-bridge
__version__: Final = "2.0.0"

DEBUG = False  # print what `debug` is told
TRANSMIT_DELAY_REDUCTION = 0.0  # without effect: packets leave by an absolute clock
ALLOW_BASIC_AUTH = False  # without effect: a password is never sent in the clear
ALLOW_MD5_AUTH = True  # False answers SHA-256 and better only
REGISTER_FAILURE_THRESHOLD = 3  # failures in a row after which a phone stops with PhoneStatus.FAILED
ALLOW_TLS_FALLBACK = False  # without effect: TLS never falls back to something else
TLS_CHECK_HOSTNAME = True  # follows `set_tls_security`; the name is checked whenever the certificate is
TLS_VERIFY_MODE: ssl.VerifyMode = ssl.CERT_REQUIRED
SIP_STATE_DB_LOCATION = ":memory:"  # without effect: state lives in objects, there is no database

SIPCompatibleMethods: Final = [
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY", "REGISTER", "MESSAGE", "SUBSCRIBE", "REFER", "INFO",
    "UPDATE", "PRACK",
]  # fmt: skip
SIPCompatibleVersions: Final = ["SIP/2.0"]
RTPCompatibleVersions: Final = [2]
RTPCompatibleCodecs: Final = [PayloadType.PCMU, PayloadType.PCMA, PayloadType.EVENT]


def debug(s: str, e: str | None = None) -> None:
    """Print ``s`` while `DEBUG` is set; otherwise print ``e``, if there is one."""
    text = s if DEBUG else e
    if text is not None:
        print(text)  # noqa: T201  # that is what it is for


def set_tls_security(verify_mode: ssl.VerifyMode) -> None:
    """How servers prove who they are over TLS; ``ssl.CERT_NONE`` switches the check of their names off, too."""
    global TLS_CHECK_HOSTNAME, TLS_VERIFY_MODE  # noqa: PLW0603  # settings are module variables in this API
    TLS_CHECK_HOSTNAME = verify_mode != ssl.CERT_NONE
    TLS_VERIFY_MODE = verify_mode
