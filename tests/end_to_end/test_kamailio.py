"""A registrar and proxy that stays in the path of each call: Kamailio, over UDP, TCP and TLS."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sip_bridge.phone.call import CallState
from sip_bridge.phone.settings import RegisteredAccount, Secret, TLSSettings
from sip_bridge.sip.events import EndCause, RegistrationState
from tests.end_to_end.bridge import Bridge, Client
from tests.end_to_end.phone import ON_LOOPBACK, Handset, handset
from tests.peers.baresip import Baresip
from tests.peers.kamailio import REALM, Kamailio
from tests.peers.mosquitto import Mosquitto
from tests.peers.mqtt import MqttRecorder
from tests.peers.sipp import Sipp
from tests.peers.sipp_steps import ack_refusal, cancel, invite, receive
from tests.phone.certificates import Authority, Issued

TRANSPORTS = ("udp", "tcp", "tls")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, certificate: Issued) -> Iterator[Kamailio]:
    kamailio = Kamailio(tmp_path_factory.mktemp("kamailio"), certificate=certificate)
    kamailio.start()
    yield kamailio
    kamailio.stop()


@pytest.fixture
def kamailio(started: Kamailio) -> Kamailio:
    """One for all tests; each sees only what is printed from its begin on."""
    started.process.forget_lines()
    return started


@asynccontextmanager
async def registered(
    kamailio: Kamailio, authority: Authority, transport: str = "udp", *, answers: bool = False
) -> AsyncIterator[Handset]:
    """Our phone as 620, registered at Kamailio."""
    account = account_of(kamailio, transport)
    settings = replace(ON_LOOPBACK, tls=TLSSettings(ca=authority.certificate))
    async with handset(account, settings, answers=answers) as phone:
        await phone.registered()
        yield phone


def account_of(kamailio: Kamailio, transport: str = "udp") -> RegisteredAccount:
    return RegisteredAccount(
        id="pbx",
        name="PBX",
        user="620",
        server=kamailio.host,
        port=kamailio.tls_port if transport == "tls" else kamailio.port,
        password=Secret(kamailio.password("620")),
        realm=REALM,
        transport=transport,
    )


def routes_of(messages: str, method: str) -> list[str]:
    """The Route or Record-Route values of the first request of a method in SIPp's log, each without its other end."""
    head = re.search(rf"^{method} sip:.*?\r?\n\r?\n", messages, re.MULTILINE | re.DOTALL)
    assert head is not None, messages
    values = re.findall(r"^(?:Record-)?Route: *(.*?)\r?$", head[0], re.MULTILINE)
    return [re.sub(r";ftag=[^;>]+|;r2=on", "", value.strip()) for line in values for value in line.split(",")]


# --- the registration ---


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_line_registers_with_digest_and_deregisters(
    kamailio: Kamailio, authority: Authority, transport: str
) -> None:
    async with registered(kamailio, authority, transport):
        contact = await kamailio.registered("620")
        assert ("transport=" in contact) == (transport != "udp")
        await kamailio.process.printed(f"REGISTER over {transport} from 620")
    await kamailio.unregistered("620")


async def test_the_strongest_digest_that_kamailio_has_is_answered(tmp_path: Path) -> None:
    kamailio = Kamailio(tmp_path, algorithm="SHA-256")
    kamailio.start()
    try:
        async with handset(account_of(kamailio)) as phone:
            await phone.registered()
    finally:
        kamailio.stop()


async def test_a_nonce_that_has_grown_old_is_replaced(tmp_path: Path) -> None:
    kamailio = Kamailio(tmp_path, nonce_expires=1, expires=7)  # renewed 5 s before its end
    kamailio.start()
    try:
        async with handset(account_of(kamailio)) as phone:
            await phone.registered()
            await phone.registered()
        await kamailio.unregistered("620")
        attempts = [line for line in kamailio.process.lines if "REGISTER over" in line]
        assert len(attempts) == 2 + 2 + 1  # with the nonce of a second ago it is refused, with that of just now not
    finally:
        kamailio.stop()


async def test_a_wrong_password_is_told(kamailio: Kamailio) -> None:
    async with handset(replace(account_of(kamailio), password=Secret("wrong"))) as phone:
        failed = await phone.registration(RegistrationState.FAILED)
        assert (failed.status, failed.account_refused) == (401, True)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_registrar_that_forgot_us_over_a_restart_hears_of_us_at_once(
    kamailio: Kamailio, authority: Authority, transport: str
) -> None:
    async with registered(kamailio, authority, transport):
        kamailio.restart()
        await kamailio.registered("620", within=20)


# --- calls of ours ---


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_to_baresip_and_its_end_follow_the_recorded_route(
    kamailio: Kamailio, authority: Authority, transport: str, tmp_path: Path
) -> None:
    account = f"<sip:101@{kamailio.address}>;auth_pass={kamailio.password('101')};audio_codecs=pcmu"
    async with registered(kamailio, authority, transport) as phone, Baresip(tmp_path / "101", account=account) as other:
        await kamailio.registered("101")
        call = await phone.dial("101")
        await other.wait_for("CALL_INCOMING")
        await other.accept()
        await phone.call_in(CallState.IN_CALL)
        await other.wait_for("CALL_ESTABLISHED")
        call.hangup()
        assert (await phone.finished()).cause is EndCause.HANGUP_LOCAL
        await other.wait_for("CALL_CLOSED")
        await kamailio.saw("ACK")
        await kamailio.saw("BYE")
        # Kamailio's processes may let the 200 overtake the 180, which is then dropped.
        signals = [signal for signal in phone.signals if signal != "< INVITE 180"]
        assert signals == ["> INVITE", "< INVITE 100", "< INVITE 200", "> ACK", "> BYE"]


@pytest.mark.parametrize(("transport", "other"), [("udp", "udp"), ("udp", "tcp"), ("tcp", "udp"), ("tls", "udp")])
async def test_a_call_that_the_other_side_ends(
    kamailio: Kamailio, authority: Authority, sipp: Sipp, transport: str, other: str
) -> None:
    called = await sipp.listen("uas_hang_up", transport=other, options=("-d", "100"))
    async with registered(kamailio, authority, transport) as phone:
        await phone.dial(f"{other}-{called.port}")
        finished = await phone.finished()
        assert (finished.cause, finished.status) == (EndCause.HANGUP_REMOTE, None)
    result = await called.succeeded()
    assert routes_of(result.messages, "BYE") == routes_of(result.messages, "INVITE")


async def test_our_call_that_is_given_up_is_cancelled_through_the_proxy(
    kamailio: Kamailio, authority: Authority, sipp: Sipp
) -> None:
    called = await sipp.listen("uas_canceled")
    async with registered(kamailio, authority) as phone:
        call = await phone.dial(f"udp-{called.port}")
        await phone.call_in(CallState.RINGING)
        call.hangup()
        assert (await phone.finished()).cause is EndCause.CANCELED
    await called.succeeded()


async def test_a_busy_number(kamailio: Kamailio, authority: Authority, sipp: Sipp) -> None:
    called = await sipp.listen("uas_busy")
    async with registered(kamailio, authority) as phone:
        await phone.dial(f"udp-{called.port}")
        finished = await phone.finished()
        assert (finished.cause, finished.status) == (EndCause.REJECTED, 486)
    await called.succeeded()


# --- calls to us ---


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_of_sipp_through_the_proxy_and_our_bye_follows_the_recorded_route(
    kamailio: Kamailio, authority: Authority, sipp: Sipp, transport: str
) -> None:
    async with registered(kamailio, authority, transport, answers=True) as phone:
        caller = await sipp.call("uac_wait_bye", kamailio.address, user="620")
        call = await phone.call_in(CallState.IN_CALL)
        await phone.signal("ACK")
        call.hangup()
        await phone.finished()
        await caller.succeeded()
        assert f"over {transport} " in await kamailio.saw("BYE")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_caller_gives_up_through_the_proxy(
    kamailio: Kamailio, authority: Authority, sipp: Sipp, transport: str
) -> None:
    steps = [
        invite(),
        receive(100, optional=True),
        receive(180),
        cancel(back=3),
        receive(200, optional=True),  # the proxy's own answer, which 487 may overtake
        receive(487),
        ack_refusal(back=6),
    ]
    async with registered(kamailio, authority, transport) as phone:
        caller = await sipp.call(steps, kamailio.address, user="620")
        assert (await phone.finished()).cause is EndCause.CANCELED
        await caller.succeeded()


async def test_the_whole_bridge_calls_and_is_called_through_the_proxy(
    kamailio: Kamailio, sipp: Sipp, tmp_path: Path, mosquitto: Mosquitto, recorder: MqttRecorder
) -> None:
    account = (
        f"  - {{id: pbx, kind: registered, server: {kamailio.host}, port: {kamailio.port}, user: '620',"
        f" password: {kamailio.password('620')}, realm: {REALM}, transport: tcp}}\n"
    )
    bridge = Bridge(tmp_path, mosquitto, account)
    bridge.start()
    try:
        client = Client(recorder, account="pbx")
        await client.registration("registered")
        caller = await sipp.call("uac_wait_bye", kamailio.address, user="620")
        await client.event("RINGING")
        await client.request("answer")
        await client.event("ACK")
        await client.request("hangup")
        await client.event("CALL_ENDED")
        await caller.succeeded()
        called = await sipp.listen("uas_hang_up", options=("-d", "100"))
        await client.request("dial", f"udp-{called.port}")
        assert (await client.event("CALL_ENDED"))["end_reason"] == "hangup_remote"
        await called.succeeded()
        assert bridge.stop() == 0
        await kamailio.unregistered("620")
    finally:
        bridge.end()
