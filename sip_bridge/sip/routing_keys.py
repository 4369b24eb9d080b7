"""What a message's transaction and dialog are found by, read without making the typed values.

RFC 3261 §12.2.2, §17.1.3, §17.2.3.
"""

import re
from typing import Final, NamedTuple

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.fields import (
    BARE,
    USUAL_ADDRESS,
    USUAL_VIA,
    CSeq,
    NameAddr,
    Via,
    default_port,
    is_word,
    partition_outside,
)

_USUAL: Final = re.compile(
    rf"""[ ]?+{USUAL_VIA}
    \n[ ]?+{USUAL_ADDRESS}
    \n[ ]?+{USUAL_ADDRESS}
    \n[ ]?+([^\x00-\x20\x7f]++)
    \n[ ]?+([0-9]{{1,9}}+)[ ]({BARE})""",
    re.VERBOSE,
)


class RoutingKeys(NamedTuple):
    """The top Via's branch and sent-by, Call-ID, tags and CSeq."""

    call_id: str
    from_tag: str | None
    to_tag: str | None
    seq: int
    method: str  # of CSeq
    branch: str | None
    sent_by: tuple[str, int]  # with the transport's default port

    @classmethod
    def read(cls, via: str, from_: str, to: str, call_id: str, cseq: str) -> "RoutingKeys":
        """From header values as written, white space around them included, ``via`` a line.

        RemoteProtocolError when one of them is malformed.
        """
        usual = _USUAL.fullmatch(f"{via}\n{from_}\n{to}\n{call_id}\n{cseq}")
        if usual is None:
            return cls._read_typed(via, from_, to, call_id, cseq)
        transport, host, port, _, branch, _, _, _, from_tag, _, _, _, to_tag, call_id, seq, method = usual.groups()
        sent_by = host.lower(), int(port or 0) or default_port(transport)
        return cls(call_id, from_tag, to_tag, int(seq), method, branch, sent_by)

    @classmethod
    def _read_typed(cls, *texts: str) -> "RoutingKeys":
        via, from_, to, call_id, cseq = map(str.strip, texts)
        top = Via.parse(partition_outside(via, ",")[0])
        from_tag, to_tag, number = NameAddr.parse(from_).tag, NameAddr.parse(to).tag, CSeq.parse(cseq)
        if not call_id or not is_word(f"{call_id}{from_tag}{to_tag}"):
            raise RemoteProtocolError("white space in Call-ID or tag")
        return cls(call_id, from_tag, to_tag, number.number, number.method, top.branch, top.sent_by)
