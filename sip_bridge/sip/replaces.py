"""Replaces (RFC 3891): an INVITE that takes the place of a call which goes on already."""

from dataclasses import dataclass
from typing import Self

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.dialog import Dialog, DialogKey
from sip_bridge.sip.fields import get_param, is_word, parse_params


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaces:
    """Names a dialog as the one who is asked to give it up sees it: ``to_tag`` is that side's own tag."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The value of a Replaces header; RemoteProtocolError when a part is missing."""
        call_id, semicolon, rest = text.partition(";")
        params = parse_params(semicolon + rest)
        to_tag, from_tag = get_param(params, "to-tag"), get_param(params, "from-tag")
        call_id = call_id.strip()
        if not call_id or not is_word(call_id) or not to_tag or not from_tag:
            raise RemoteProtocolError("Replaces without Call-ID, to-tag or from-tag")
        early_only = get_param(params, "early-only") is not None
        return cls(call_id=call_id, to_tag=to_tag, from_tag=from_tag, early_only=early_only)

    @classmethod
    def of(cls, dialog: Dialog) -> Self:
        """The header that asks the other party of one of our dialogs to give it up."""
        return cls(call_id=dialog.call_id, to_tag=dialog.remote.tag or "", from_tag=dialog.local.tag or "")

    def format(self) -> str:
        """The inverse of `parse`."""
        early_only = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early_only}"

    @property
    def dialog_key(self) -> DialogKey:
        """What our side of that dialog is found by."""
        return self.call_id, self.to_tag, self.from_tag
