"""`codecs:` and `srtp:` of an account: what its sound is sent as."""

import voluptuous as vol

from sip_bridge.config import validators as valid
from sip_bridge.config.yaml_file import Value
from sip_bridge.media.codec import CODECS, codec_named
from sip_bridge.media.codecs_av import EXTRA
from sip_bridge.media.sdes import SRTPPolicy


def _codec(value: Value) -> str:
    codec = codec_named(value) if isinstance(value, str) else None
    if codec is None:
        raise valid.Unexpected(f"expected one of {', '.join(CODECS)}")
    if not codec.is_available:
        raise vol.Invalid(f"{codec.name} is not in the plain installation: it needs {EXTRA}")
    return codec.name


def codecs(value: Value) -> tuple[str, ...]:
    """By preference; twice is the same as once."""
    names: tuple[str, ...] = valid.list_of(_codec, at_least=1)(value)
    return tuple(dict.fromkeys(names))


def srtp(value: Value) -> SRTPPolicy:
    """One of the policies' names."""
    return SRTPPolicy(valid.one_of(*SRTPPolicy)(value))
