"""What each line's calls are doing, in the words of RFC 4235: followed from the events that the calls tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sip_bridge.sip.dialog_info import DialogEntry, DialogState, Direction, Participant
from sip_bridge.sip.events import CallEnded, CallPlaced, CallReceived, CallSignaled, Output
from sip_bridge.sip.status import SIPStatus

MAX_IDENTITY: Final = 256  # characters of a URI or name that are told
_ANONYMOUS: Final = Participant(uri="sip:anonymous@anonymous.invalid", name="Anonymous")  # RFC 3261 §8.1.1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    line: str
    entry: DialogEntry


class CallStates:
    """``on_change(line)`` is called whenever something that a watcher sees is new.

    An entry has no Call-ID and no tags: they are optional, and with them a watcher could end or take over the call.
    """

    def __init__(self, *, token: Callable[[], str], on_change: Callable[[str], None]) -> None:
        self._token = token
        self._on_change = on_change
        self._calls: dict[str, _Call] = {}  # by the call's id; as many as there are calls

    def of(self, line: str) -> Mapping[str, DialogEntry]:
        """The live calls of a line, by the id of their entry."""
        return {call.entry.id: call.entry for call in self._calls.values() if call.line == line}

    def observe(self, output: Output) -> None:
        """Something happened."""
        match output:
            case CallReceived(call=call, line=line, caller=caller):
                remote = _ANONYMOUS if caller.anonymous else _participant(caller.address.uri, caller.display_name)
                self._begin(call, line, "recipient", remote)
            case CallPlaced(call=call, line=line, remote=callee):
                self._begin(call, line, "initiator", _participant(callee.uri, callee.display_name))
            case CallSignaled(call=call, method="INVITE", status=SIPStatus() as status):
                self._move(call, status)
            case CallEnded(call=call):
                self._end(call)
            case _:
                pass

    def _begin(self, call: str, line: str, direction: Direction, remote: Participant) -> None:
        known = self._calls.get(call)
        entry = DialogEntry(
            id=known.entry.id if known is not None else self._token(),  # a call that is redirected is placed again
            state=DialogState.TRYING,
            direction=direction,
            remote=remote,
        )
        self._put(call, _Call(line=line, entry=entry))

    def _move(self, call: str, status: SIPStatus) -> None:
        known = self._calls.get(call)
        if known is None or known.entry.state is DialogState.CONFIRMED or status >= SIPStatus.MULTIPLE_CHOICES:
            return
        if status == SIPStatus.TRYING:
            state = DialogState.PROCEEDING
        else:
            state = DialogState.CONFIRMED if status.is_success else DialogState.EARLY
        if known.entry.state is not state:
            self._put(call, replace(known, entry=replace(known.entry, state=state)))

    def _put(self, call: str, known: _Call) -> None:
        self._calls[call] = known
        self._on_change(known.line)

    def _end(self, call: str) -> None:
        known = self._calls.pop(call, None)
        if known is not None:
            self._on_change(known.line)


def _participant(uri: str, name: str | None) -> Participant:
    """The other party, cut to what a lamp may show: a document holds many."""
    return Participant(uri=uri[:MAX_IDENTITY], name=name[:MAX_IDENTITY] if name else None)
