"""What DNS and the system know of a name: NAPTR and SRV through dnspython, addresses through the system, which knows
/etc/hosts and mDNS too.

An answer is kept for as long as its TTL says. When nobody answers after that, it is used on, for at most `STALE_FOR`,
and asked for again every `RECHECK` (RFC 8767): a house whose DNS is down keeps its telephone.
"""

import asyncio
import contextlib
import logging
import random
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

_LOG = logging.getLogger(__name__)
QUESTION_TIMEOUT: Final = 1.5  # seconds for DNS; NAPTR, SRV and addresses in a row stay within 5 s
ADDRESS_TIMEOUT: Final = 2.0  # seconds for the system
_TRY: Final = 0.5  # seconds until a question is repeated
MAX_RECORDS: Final = 16  # of one answer
MAX_KEPT: Final = 256  # answers
MAX_THREADS: Final = 32  # look-ups that the system has not finished; one hangs for many seconds when DNS is gone
LONGEST_TTL: Final = 86400.0  # seconds
LONGEST_NEGATIVE_TTL: Final = 300.0  # seconds that a name which does not exist may stay so
ADDRESS_TTL: Final = 10.0  # seconds: the system does not say how long an address is good
SILENCE_TTL: Final = 600.0  # seconds that nobody is asked again about services whose domain has an address
STALE_FOR: Final = 3 * 86400.0  # seconds
RECHECK: Final = 30.0  # seconds

_NO_SUCH_HOST: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}  # musl has one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A NAPTR record with flag "s" (RFC 3263 §4.1): ``service`` is to be asked for at ``replacement``."""

    order: int
    preference: int
    service: str
    replacement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An SRV record (RFC 2782); ``host`` is "" when the service is decidedly not available."""

    priority: int
    weight: int
    host: str
    port: int


R = TypeVar("R", Rule, Server, str)
Question = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer(Generic[R]):
    """Records, and for how many seconds they are good."""

    records: tuple[R, ...]
    ttl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept(Generic[R]):
    records: tuple[R, ...]
    fresh_until: float
    usable_until: float


class _UnansweredError(Exception):
    """Nobody said whether the name exists."""


class _SilenceError(_UnansweredError):
    """And it took its time."""


class Names:
    """Asks and remembers. ``chance`` gives numbers from 0 up to 1; ``dns_resolver`` is made anew for each question,
    so that it knows what /etc/resolv.conf says today.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        dns_resolver: Callable[[], dns.asyncresolver.Resolver] = dns.asyncresolver.Resolver,
        getaddrinfo: Callable[[str], Iterable[str]] | None = None,
        question_timeout: float = QUESTION_TIMEOUT,
        address_timeout: float = ADDRESS_TIMEOUT,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._dns_resolver = dns_resolver
        self._getaddrinfo = getaddrinfo or system_addresses
        self._question_timeout = question_timeout
        self._address_timeout = address_timeout
        self._threads = 0
        self._rules: OrderedDict[str, _Kept[Rule]] = OrderedDict()
        self._servers: OrderedDict[str, _Kept[Server]] = OrderedDict()
        self._addresses: OrderedDict[str, _Kept[str]] = OrderedDict()

    async def rules(self, domain: str) -> tuple[Rule, ...]:
        """The usable NAPTR records of a domain, the first to be tried first."""
        return await self._ask(self._rules, domain, self._ask_rules, domain)

    async def servers(self, name: str, domain: str) -> tuple[Server, ...]:
        """The SRV records of a domain's service in the order to be tried; the same order while they stay the same."""
        return await self._ask(self._servers, name, self._ask_servers, domain)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The IP addresses of a host, of both families, in the system's order (RFC 6724)."""
        return await self._ask(self._addresses, host, self._ask_addresses, host)

    async def _ask(
        self,
        answers: OrderedDict[str, _Kept[R]],
        name: str,
        ask: Callable[[str], Awaitable[_Answer[R]]],
        domain: str,
    ) -> tuple[R, ...]:
        kept = answers.get(name)
        if kept is not None and self._clock() < kept.fresh_until:
            return kept.records
        try:
            answer = await ask(name)
        except _UnansweredError as error:
            _LOG.debug("%s: %s", name, error)
            now = self._clock()
            if kept is not None and kept.records and now < kept.usable_until:
                answers[name] = replace(kept, fresh_until=now + RECHECK)
                return kept.records
            if not isinstance(error, _SilenceError) or not await self.addresses(domain):
                return ()
            # Who knows the domain and keeps silent about its services is one of the routers that drop such questions.
            answer = _Answer(records=(), ttl=SILENCE_TTL)
        fresh_until = self._clock() + answer.ttl
        answers[name] = _Kept(records=answer.records, fresh_until=fresh_until, usable_until=fresh_until + STALE_FOR)
        answers.move_to_end(name)
        if len(answers) > MAX_KEPT:
            answers.popitem(last=False)
        return answer.records

    # --- DNS ---

    async def _ask_rules(self, name: str) -> _Answer[Rule]:
        records, ttl = await self._ask_dns(name, dns.rdatatype.NAPTR)
        rules = [_rule(record) for record in records if isinstance(record, NAPTR) and _is_usable(record)]
        rules.sort(key=lambda rule: (rule.order, rule.preference))
        return _Answer(records=tuple(rules[:MAX_RECORDS]), ttl=ttl)

    async def _ask_servers(self, name: str) -> _Answer[Server]:
        records, ttl = await self._ask_dns(name, dns.rdatatype.SRV)
        servers = {_server(record) for record in records if isinstance(record, SRV)}
        kept = self._servers.get(name)
        if kept is not None and set(kept.records) == servers:
            return _Answer(records=kept.records, ttl=ttl)  # a call goes where its line registered
        return _Answer(records=in_order(servers, self._chance)[:MAX_RECORDS], ttl=ttl)

    async def _ask_dns(self, name: str, kind: dns.rdatatype.RdataType) -> tuple[tuple[object, ...], float]:
        """Records and their TTL; no records when the name has none of that kind."""
        try:
            resolver = self._dns_resolver()
            resolver.timeout = _TRY
            async with asyncio.timeout(self._question_timeout):  # dnspython's own limit waits for its next try
                answer = await resolver.resolve(dns.name.from_text(name), kind, search=False, raise_on_no_answer=False)
        except TimeoutError:
            raise _SilenceError(f"{kind.name}: no answer in time") from None
        except dns.resolver.NXDOMAIN as error:
            return (), min(_negative_ttl(response) for response in error.kwargs["responses"].values())
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise _UnansweredError(f"{kind.name}: {error}") from error
        if answer.rrset is None:
            return (), _negative_ttl(answer.response)
        return tuple(answer.rrset), min(float(answer.chaining_result.minimum_ttl), LONGEST_TTL)

    # --- the system ---

    async def _ask_addresses(self, host: str) -> _Answer[str]:
        try:
            async with asyncio.timeout(self._address_timeout):
                found = await self._in_thread(host)
        except TimeoutError:
            raise _UnansweredError("no address in time") from None
        if isinstance(found, socket.gaierror) and found.errno in _NO_SUCH_HOST:
            return _Answer(records=(), ttl=0)
        if isinstance(found, Exception):
            raise _UnansweredError(str(found)) from found
        return _Answer(records=tuple(dict.fromkeys(found))[:MAX_RECORDS], ttl=ADDRESS_TTL)

    async def _in_thread(self, host: str) -> list[str] | OSError | UnicodeError:
        """Ask in a daemon thread: the system can't be told to give up, and a stop must not wait for it."""
        if self._threads >= MAX_THREADS:
            return OSError("too many look-ups hang")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str] | OSError | UnicodeError] = loop.create_future()

        def settle(found: list[str] | OSError | UnicodeError) -> None:
            self._threads -= 1
            if not future.done():
                future.set_result(found)

        def run() -> None:
            found: list[str] | OSError | UnicodeError
            try:
                found = list(self._getaddrinfo(host))
            except (OSError, UnicodeError) as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settle, found)

        self._threads += 1
        threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
        return await future


def system_addresses(host: str) -> list[str]:
    """The addresses of a host as the system finds and sorts them; OSError or UnicodeError when there are none."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    return [info[4][0] for info in infos if isinstance(info[4][0], str)]


def in_order(servers: Iterable[Server], chance: Callable[[], float]) -> tuple[Server, ...]:
    """By priority, and within one by chance in proportion to weight (RFC 2782); nobody is drawn twice."""
    # Those of weight 0 stand first, so that they have a very small chance.
    left = sorted(servers, key=lambda server: (server.priority, server.weight, server.host, server.port))
    drawn: list[Server] = []
    while left:
        urn = [server for server in left if server.priority == left[0].priority]
        chosen = _draw(urn, chance)
        left.remove(chosen)
        drawn.append(chosen)
    return tuple(drawn)


def _draw(urn: list[Server], chance: Callable[[], float]) -> Server:
    ticket = int(chance() * (sum(server.weight for server in urn) + 1))
    running = 0
    for server in urn[:-1]:
        running += server.weight
        if running >= ticket:
            return server
    return urn[-1]


def _is_usable(record: NAPTR) -> bool:
    """RFC 3263 §4.1: the flag is "s", there is no regular expression, and a replacement names SRV records."""
    return record.flags.lower() == b"s" and not record.regexp and record.replacement != dns.name.root


def _rule(record: NAPTR) -> Rule:
    return Rule(
        order=record.order,
        preference=record.preference,
        service=record.service.decode("ascii", "replace").upper(),
        replacement=record.replacement.to_text(omit_final_dot=True),
    )


def _server(record: SRV) -> Server:
    host = "" if record.target == dns.name.root else record.target.to_text(omit_final_dot=True)
    return Server(priority=record.priority, weight=record.weight, host=host.lower(), port=record.port)


def _negative_ttl(response: dns.message.Message) -> float:
    """How long a name may be taken for absent (RFC 2308 §5), bounded for registrars that come back."""
    assert isinstance(response, dns.message.QueryMessage)  # noqa: S101  # the answer to a query
    return min(float(response.resolve_chaining().minimum_ttl), LONGEST_NEGATIVE_TTL)
