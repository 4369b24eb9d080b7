"""A SIP message as others may see it: what proves somebody's identity, opens doors or decrypts sound is ``***``."""

import re
from typing import Final

_HEADS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), replacement)
    for pattern, replacement in (
        # What a password could be guessed from.
        (r"^((?:proxy-)?authorization[ \t]*:[ \t]*basic[ \t]+)\S+", r"\1***"),
        (r"(\b(?:response|cnonce|rspauth)[ \t]*=[ \t]*)(?:\"[^\"\r\n]*\"|[^\s,]+)", r'\1"***"'),
        (r"(\bsips?:[^\s@:;<>\"]+:)[^\s@<>\"]+(@)", r"\1***\2"),  # a password in a URI
    )
)
_BODIES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"(\binline:)[^\s|;]+", r"\1***"),  # a key of SRTP (RFC 4568)
        (r"^(k=[a-z0-9]+:)[^\r\n]+", r"\1***"),
        (r"^([ \t\r]*(?:signal|d)[ \t]*[=:][ \t]*[\"']?)[0-9a-d*#]+", r"\1***"),  # a key press, perhaps of a PIN
        (r"^([ \t\r]*[\"']?)[0-9a-d*#]+([\"']?\s*)\Z", r"\1***\2"),
    )
)
_TEXT: Final = re.compile(r"^(?:content-type|c)[ \t]*:[ \t]*(?:text|message)/", re.IGNORECASE | re.MULTILINE)


def redacted(message: bytes) -> str:
    """The text of a message, readable for whoever looks for a fault. What people write to each other is left out."""
    head, separator, body = message.decode("utf-8", "replace").partition("\r\n\r\n")
    is_text = _TEXT.search(head) is not None
    for pattern, replacement in _HEADS:
        head = pattern.sub(replacement, head)
    if is_text and body:
        return f"{head}{separator}({len(body)} characters)"
    for pattern, replacement in _BODIES:
        body = pattern.sub(replacement, body)
    return head + separator + body
