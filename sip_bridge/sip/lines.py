"""The lines of an endpoint, which are added, changed and removed while calls go on, and their registrations.

RFC 3261 §10.2.2.
"""

from dataclasses import replace

from sip_bridge.errors import InvalidStateError
from sip_bridge.sip.auth import Authenticator, credentials_of
from sip_bridge.sip.core import Core
from sip_bridge.sip.events import RegistrationState
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.line import Line, RegisteredLine
from sip_bridge.sip.policy import Policy
from sip_bridge.sip.registration import Registration
from sip_bridge.sip.uri import SIPURI

Address = tuple[str, int | None]
Binding = tuple[SIPURI, Address, Address]


class Lines:
    """Lines by id. A call keeps what it was set up with, whatever becomes of its line."""

    def __init__(self, core: Core, policy: Policy) -> None:
        self._core = core
        self._policy = policy
        self._registrations: dict[str, Registration] = {}
        self.authenticators: dict[str, Authenticator] = {}

    def add(self, line: Line) -> None:
        """Serve a line."""
        self._policy.add(line)
        if isinstance(line, RegisteredLine):
            self._renew_credentials(line)
            self._registrations[line.id] = Registration(self._core, line, self.authenticators.get(line.id))

    def would_move(self, line: Line) -> bool:
        """Whether this change of a line ends its registration, if only for another one elsewhere."""
        former = self._known(line.id)
        return _binding(former) not in (None, _binding(line))

    def change(self, line: Line, now: float) -> None:
        """Serve a line otherwise; where its registration changed, it is made anew unless it was ended by order."""
        former = self._known(line.id)
        match former, line:
            case RegisteredLine(), RegisteredLine() if _binding(former) == _binding(line):
                self._change_in_place(former, line, now)
            case _:
                self._replace(former, line, now)

    def _change_in_place(self, former: RegisteredLine, line: RegisteredLine, now: float) -> None:
        self._policy.change(line)
        if not _is_same_registration(former, line):
            self._renew_credentials(line)
            self._registrations[line.id].change(line, self.authenticators.get(line.id), now)

    def _replace(self, former: Line, line: Line, now: float) -> None:
        is_wanted = not isinstance(former, RegisteredLine) or self._registrations[line.id].is_wanted
        self._leave(former, now)
        self._policy.remove(line.id)
        self.add(line)
        if isinstance(line, RegisteredLine) and is_wanted:
            self._registrations[line.id].start(now)

    def remove(self, line_id: str, now: float) -> None:
        """Serve a line no more; its registration is removed, and nothing more is told of it."""
        self._leave(self._known(line_id), now)
        self._policy.remove(line_id)

    def _leave(self, line: Line, now: float) -> None:
        """Calls that are up may still be asked for the password by the servers that this line had."""
        if not isinstance(line, RegisteredLine):
            return
        authenticator = self.authenticators.pop(line.id, None)
        if authenticator is not None:
            authenticator.trusts = self._core.routing.hosts(line.id).__contains__
        self._registrations.pop(line.id).abandon(now)

    def _renew_credentials(self, line: RegisteredLine) -> None:
        """Calls that are up share them: a PBX with a new password may ask for it within a call."""
        if line.credentials is None and not line.realms:
            self.authenticators.pop(line.id, None)
        elif line.id in self.authenticators:
            self.authenticators[line.id].renew(credentials_of(line), weakest=line.min_algorithm)
        else:
            self.authenticators[line.id] = Authenticator(
                credentials_of(line),
                weakest=line.min_algorithm,
                token=self._core.chance.token,
                trusts=lambda host: self._core.routing.trusts(line.id, host),
            )

    def _known(self, line_id: str) -> Line:
        line = self._policy.lines.get(line_id)
        if line is None:
            raise InvalidStateError(f"there is no line {line_id}")
        return line

    # --- registrations ---

    def registration(self, line_id: str) -> Registration:
        """InvalidStateError for a line without a registrar."""
        if line_id not in self._registrations:
            raise InvalidStateError(f"line {line_id} has no registrar")
        return self._registrations[line_id]

    def is_registered(self, line_id: str) -> bool:
        """Whether a line's registrar knows it."""
        registration = self._registrations.get(line_id)
        return registration is not None and registration.state is RegistrationState.REGISTERED

    def flows(self) -> frozenset[Flow]:
        """The flows that lines registered over last."""
        return frozenset(each.flow for each in self._registrations.values() if each.flow is not None)

    def registered_over(self, flow: Flow) -> dict[str, Registration]:
        """The registrations that use a flow, by line."""
        return {line: each for line, each in self._registrations.items() if each.flow == flow}


def _binding(line: Line) -> Binding | None:
    """At which registrar, by which way and as whom: a REGISTER for one line replaces what another of these had."""
    if not isinstance(line, RegisteredLine):
        return None
    registrar, first = line.registrar, line.first_hop
    return line.aor, (registrar.host, registrar.port), (first.host, first.port)


def _is_same_registration(former: RegisteredLine, line: RegisteredLine) -> bool:
    """Whether nothing changed that a REGISTER or its answer has to do with."""
    return line == replace(former, display_name=line.display_name, message_waiting=line.message_waiting)
