"""TLS: verified by name, our own authority, client certificates, files that change, and nothing older than 1.2."""

import logging
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sip_bridge.errors import TransportError
from sip_bridge.phone.settings import Secret, SIPSettings, TLSSettings
from sip_bridge.phone.transport import Transports, connections
from sip_bridge.sip.flow import Flow
from sip_bridge.sip.stream import MessageFramed
from tests.phone.certificates import Authority, Issued
from tests.phone.sip_peer import connected, serving
from tests.phone.transports import Hearing, message, opened

LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def pbx(authority: Authority) -> Issued:
    return authority.issue("pbx", "DNS:pbx.example", "DNS:*.wild.example", f"IP:{LOOPBACK}", "IP:::1")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Issued:
    return authority.issue("ours", "DNS:door.example", f"IP:{LOOPBACK}")


@pytest.fixture
def user() -> Hearing:
    return Hearing()


def settings_of(**tls: Path | bool | Secret | None) -> SIPSettings:
    return SIPSettings(bind=LOOPBACK, port=0, tls_port=0, tls=TLSSettings(**tls))  # type: ignore[arg-type]


def server_context(issued: Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


def client_context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.certificate)


@pytest.fixture
async def client(user: Hearing, authority: Authority) -> AsyncIterator[Transports]:
    """Trusts the authority, and has no certificate of its own."""
    async with opened(settings_of(ca=authority.certificate), user) as transports:
        yield transports


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- as a client ---


@pytest.mark.parametrize("name", ["pbx.example", "PBX.example", "pbx.example.", "a.wild.example", None])
async def test_a_peer_that_proves_its_name_is_spoken_to(
    name: str | None, client: Transports, pbx: Issued, user: Hearing
) -> None:
    async with serving("TLS", tls=server_context(pbx)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port, server_name=name)
        client.send(message(), flow)
        peer = await server.peer()
        assert await peer.item() == MessageFramed(data=message())
        assert flow.local == peer.stream.get_extra_info("peername")[:2]  # type: ignore[union-attr]
        peer.send(message("INVITE"))
        data, come = await user.message()
        assert (data, come.local, come.remote) == (message("INVITE"), flow.local, flow.remote)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other.example", "Hostname mismatch, certificate is not valid for 'other.example'."),
        ("pbx", "Hostname mismatch, certificate is not valid for 'pbx'."),
        ("a.b.wild.example", "Hostname mismatch, certificate is not valid for 'a.b.wild.example'."),
        ("wild.example", "Hostname mismatch, certificate is not valid for 'wild.example'."),
        ("127.0.0.9", "IP address mismatch, certificate is not valid for '127.0.0.9'."),
    ],
)
async def test_a_peer_of_another_name_gets_nothing(
    name: str, reason: str, client: Transports, pbx: Issued, user: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving("TLS", tls=server_context(pbx)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port, server_name=name)
        for _ in range(2):
            client.send(message(), flow)
            assert await user.failure() == flow
    assert warnings_of(caplog) == [f"TLS to {name} (127.0.0.1 port {server.port}): {reason}"]


async def test_what_is_remembered_of_complaints_is_bounded(
    client: Transports, pbx: Issued, user: Hearing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_COMPLAINTS", 1)
    context = server_context(pbx)
    async with serving("TLS", tls=context) as one, serving("TLS", tls=context) as two:
        for server in (one, two, two, one):
            client.send(message(), client.flow_to("TLS", LOOPBACK, server.port, server_name="other.example"))
            await user.failure()
        ports = [one.port, two.port, one.port]
    assert [f"port {port})" in line for port, line in zip(ports, warnings_of(caplog), strict=True)] == [True] * 3


async def test_the_common_name_is_no_name(
    client: Transports, authority: Authority, user: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    issued = authority.issue("cn.example")
    async with serving("TLS", tls=server_context(issued)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port, server_name="cn.example")
        client.send(message(), flow)
        assert await user.failure() == flow
    assert ["not valid for 'cn.example'" in line for line in warnings_of(caplog)] == [True]


async def test_an_expired_certificate_is_refused(
    client: Transports, authority: Authority, user: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    expired = authority.issue("expired", f"IP:{LOOPBACK}", until="20210101000000Z")
    async with serving("TLS", tls=server_context(expired)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        assert await user.failure() == flow
    assert ["certificate has expired" in line for line in warnings_of(caplog)] == [True]


async def test_a_certificate_of_an_unknown_authority_is_refused(
    client: Transports, tmp_path: Path, user: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = Authority(tmp_path, "foreign").issue("pbx", f"IP:{LOOPBACK}")
    async with serving("TLS", tls=server_context(foreign)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        assert await user.failure() == flow
    assert ["unable to get local issuer" in line for line in warnings_of(caplog)] == [True]


async def test_a_self_signed_certificate_is_refused(
    client: Transports, tmp_path: Path, user: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    own = Authority(tmp_path, "selfmade")
    issued = Issued(certificate=own.certificate, key=tmp_path / "selfmade.key")
    async with serving("TLS", tls=server_context(issued)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        assert await user.failure() == flow
    assert [re.search("self.signed certificate", line) is not None for line in warnings_of(caplog)] == [True]


async def test_without_an_authority_of_our_own_the_systems_decide(user: Hearing, pbx: Issued) -> None:
    async with opened(settings_of(), user) as client, serving("TLS", tls=server_context(pbx)) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        assert await user.failure() == flow


async def test_a_self_signed_peer_may_be_its_own_authority(user: Hearing, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("pbx", f"IP:{LOOPBACK}")
    settings = settings_of(ca=issued.certificate)
    async with opened(settings, user) as client, serving("TLS", tls=server_context(issued)) as server:
        client.send(message(), client.flow_to("TLS", LOOPBACK, server.port))
        assert await (await server.peer()).item() == MessageFramed(data=message())


async def test_who_switches_verification_off_is_warned_once(
    user: Hearing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = Authority(tmp_path).issue("elsewhere", until="20210101000000Z")
    settings = settings_of(verify=False)
    async with opened(settings, user) as client, serving("TLS", tls=server_context(foreign)) as server:
        client.send(message(), client.flow_to("TLS", LOOPBACK, server.port, server_name="x.example"))
        assert await (await server.peer()).item() == MessageFramed(data=message())
    assert warnings_of(caplog) == ["sip.tls.verify is false: whoever is on the way can pose as the other side of TLS"]


async def test_a_peer_that_speaks_no_tls_1_2_is_refused(client: Transports, pbx: Issued, user: Hearing) -> None:
    context = server_context(pbx)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving("TLS", tls=context) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        assert await user.failure() == flow


async def test_a_peer_that_speaks_plain_sip_gets_no_plain_sip(client: Transports, user: Hearing) -> None:
    async with serving("TCP") as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        peer = await server.peer()
        peer.send(message())
        assert await user.failure() == flow
        assert peer.items.empty()


async def test_a_client_certificate_is_shown_where_it_is_demanded(
    user: Hearing, authority: Authority, pbx: Issued
) -> None:
    guest = authority.issue("guest", "DNS:guest.example", password="sesame")
    context = server_context(pbx)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=authority.certificate)
    settings = settings_of(
        ca=authority.certificate,
        client_certificate=guest.certificate,
        client_key=guest.key,
        key_password=Secret("sesame"),
    )
    async with opened(settings, user) as client, serving("TLS", tls=context) as server:
        client.send(message(), client.flow_to("TLS", LOOPBACK, server.port))
        peer = await server.peer()
        assert await peer.item() == MessageFramed(data=message())
        assert peer.stream is not None
        assert peer.stream.get_extra_info("peercert")["subject"] == ((("commonName", "guest"),),)


async def test_who_has_no_client_certificate_fails_where_it_is_demanded(
    client: Transports, user: Hearing, authority: Authority, pbx: Issued
) -> None:
    context = server_context(pbx)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=authority.certificate)
    async with serving("TLS", tls=context) as server:
        flow = client.flow_to("TLS", LOOPBACK, server.port)
        client.send(message(), flow)
        assert await user.failure() == flow


async def test_the_name_that_was_proven_is_the_one_that_is_reused(
    client: Transports, user: Hearing, pbx: Issued
) -> None:
    async with serving("TLS", tls=server_context(pbx)) as server:
        one = client.flow_to("TLS", LOOPBACK, server.port, server_name="pbx.example")
        other = client.flow_to("TLS", LOOPBACK, server.port, server_name="a.wild.example")
        client.send(message(branch="1"), one)
        first = await server.peer()
        assert await first.item() == MessageFramed(data=message(branch="1"))
        client.send(message(branch="2"), other)
        second = await server.peer()
        assert await second.item() == MessageFramed(data=message(branch="2"))
        assert client.flow_to("TLS", LOOPBACK, server.port, server_name="pbx.example") == one
        client.send(message(branch="3"), one)
        assert await first.item() == MessageFramed(data=message(branch="3"))


async def test_a_peer_that_proved_its_name_is_reached_by_its_address_too(
    client: Transports, user: Hearing, authority: Authority
) -> None:
    """As PBXs are: their certificate has their name, and their Contact has their address."""
    named = authority.issue("named", "DNS:pbx.example")
    async with serving("TLS", tls=server_context(named)) as server:
        assert client.established(LOOPBACK, server.port) is None
        flow = client.flow_to("TLS", LOOPBACK, server.port, server_name="PBX.example")
        client.send(message(branch="1"), flow)
        peer = await server.peer()
        assert await peer.item() == MessageFramed(data=message(branch="1"))
        client.send(message(branch="2"), client.flow_to("TLS", LOOPBACK, server.port, server_name=LOOPBACK))
        assert await peer.item() == MessageFramed(data=message(branch="2"))
        assert client.established(LOOPBACK, server.port) == flow
        assert server.peers.empty()


async def test_local_ports_that_wait_for_a_connection_are_bounded(
    client: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_RESERVED", 2)
    ports = [client.flow_to("TLS", LOOPBACK, port).local[1] for port in (1, 2, 3)]
    again = [client.flow_to("TLS", LOOPBACK, port).local[1] for port in (2, 3)]
    assert again == ports[1:]


# --- as a server ---


async def test_a_peer_calls_over_tls_and_is_called_back_over_its_connection(
    user: Hearing, authority: Authority, ours: Issued
) -> None:
    settings = settings_of(certificate=ours.certificate, key=ours.key, ca=authority.certificate)
    async with opened(settings, user) as phone:
        port = phone.tls_port
        assert port is not None
        async with connected("TLS", LOOPBACK, port, tls=client_context(authority), name="door.example") as peer:
            peer.send(message())
            data, come = await user.message()
            assert (data, come.transport, come.local) == (message(), "TLS", (LOOPBACK, port))
            assert peer.local[1] >= connections.FIRST_CLIENT_PORT
            phone.send(message("BYE"), phone.flow_to("TLS", *peer.local))
            assert await peer.item() == MessageFramed(data=message("BYE"))
            named = phone.flow_to("TLS", *peer.local, server_name="pbx.example")
            phone.send(message("INVITE"), named)
            assert await user.failure() == named


async def test_nobody_takes_a_servers_place_by_connecting_from_its_port(
    user: Hearing, authority: Authority, ours: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_CLIENT_PORT", 65536)
    async with opened(settings_of(certificate=ours.certificate, key=ours.key), user) as phone:
        assert phone.tls_port is not None
        async with connected(
            "TLS", LOOPBACK, phone.tls_port, tls=client_context(authority), name="door.example"
        ) as peer:
            peer.send(message())
            await user.message()
            flow = phone.flow_to("TLS", *peer.local)
            phone.send(message("REGISTER"), flow)
            assert await user.failure() == flow
            assert peer.items.empty()


async def test_a_peer_that_offers_only_tls_1_1_gets_no_connection(
    user: Hearing, authority: Authority, ours: Issued
) -> None:
    context = client_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with opened(settings_of(certificate=ours.certificate, key=ours.key), user) as phone:
        assert phone.tls_port is not None
        with pytest.raises(OSError):  # told by an alert, or by a reset that overtakes it
            async with connected("TLS", LOOPBACK, phone.tls_port, tls=context, name="door.example"):
                pass
        assert user.messages.empty()


async def test_a_peer_that_does_not_shake_hands_is_closed(
    user: Hearing, ours: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_TIME", 0.1)
    async with opened(settings_of(certificate=ours.certificate, key=ours.key), user) as phone:
        assert phone.tls_port is not None
        async with connected("TCP", LOOPBACK, phone.tls_port) as peer:
            assert await peer.item() is None


async def certificate_at(port: int | None, authority: Authority, name: str) -> str:
    """The common name that the phone shows."""
    assert port is not None
    async with connected("TLS", LOOPBACK, port, tls=client_context(authority), name=name) as peer:
        assert peer.stream is not None
        subject = peer.stream.get_extra_info("peercert")["subject"]
        found: str = subject[0][0][1]
        return found


async def test_a_certificate_that_is_renewed_is_shown_at_once_and_a_broken_one_changes_nothing(
    user: Hearing, authority: Authority, ours: Issued, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    renewed = authority.issue("renewed", f"IP:{LOOPBACK}")
    certificate, key = Path(shutil.copy(ours.certificate, tmp_path / "c.pem")), tmp_path / "k.pem"
    shutil.copy(ours.key, key)
    caplog.set_level(logging.INFO)
    async with opened(settings_of(certificate=certificate, key=key), user) as phone:
        port = phone.tls_port
        assert port is not None
        async with connected("TLS", LOOPBACK, port, tls=client_context(authority), name=LOOPBACK) as peer:
            assert await certificate_at(port, authority, LOOPBACK) == "ours"
            shutil.copy(renewed.certificate, certificate)
            os.utime(certificate, (1, 1))
            assert await certificate_at(port, authority, LOOPBACK) == "ours"
            assert await certificate_at(port, authority, LOOPBACK) == "ours"
            shutil.copy(renewed.key, key)
            assert await certificate_at(port, authority, LOOPBACK) == "renewed"
            peer.send(message())
            assert (await user.message())[0] == message()
    assert [record.getMessage() for record in caplog.records if record.name.endswith("tls")] == [
        (
            "the server's certificate changed, and the new files are of no use: tls.certificate: "
            f"{certificate} and the key in {key} do not belong together. The old ones stay."
        ),
        "the server's certificate changed: new connections use the new files",
    ]


async def test_a_certificate_that_is_gone_stays_in_use(
    user: Hearing, authority: Authority, ours: Issued, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(ours.certificate.read_bytes() + ours.key.read_bytes())
    async with opened(settings_of(certificate=both), user) as phone:
        both.unlink()
        assert await certificate_at(phone.tls_port, authority, LOOPBACK) == "ours"


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"certificate": "none.pem"}, "tls.certificate: {0}/none.pem can't be read: No such file or directory"),
        ({"key": "none.pem"}, "tls.key: {0}/none.pem can't be read: No such file or directory"),
        ({"key": "pbx.key"}, "tls.certificate: {0}/ours.pem and the key in {0}/pbx.key do not belong together"),
        ({"ca": "ours.key"}, "tls.ca: {0}/ours.key holds no certificates in PEM"),
        (
            {"client_certificate": "pbx.pem"},
            (
                "tls.client_certificate: {0}/pbx.pem and the key in {0}/pbx.pem can't be read as PEM, "
                "or key_password is wrong"
            ),
        ),
        (
            {"client_certificate": "pbx.pem", "client_key": "none.key"},
            "tls.client_key: {0}/none.key can't be read: No such file or directory",
        ),
    ],
)
async def test_files_that_are_of_no_use_are_named(
    broken: dict[str, str], problem: str, user: Hearing, folder: Path, ours: Issued, pbx: Issued
) -> None:
    files = {"certificate": ours.certificate, "key": ours.key, **{k: folder / name for k, name in broken.items()}}
    transports = Transports(settings_of(**files), user)
    with pytest.raises(TransportError) as caught:
        transports.open()
    assert str(caught.value) == problem.format(folder)


async def test_a_wrong_password_is_no_question_on_the_terminal(
    user: Hearing, folder: Path, authority: Authority
) -> None:
    locked = authority.issue("locked", f"IP:{LOOPBACK}", password="sesame")
    transports = Transports(settings_of(certificate=locked.certificate, key=locked.key), user)
    with pytest.raises(TransportError, match="or key_password is wrong"):
        transports.open()


def test_a_flow_over_tls_is_not_one_over_tcp() -> None:
    flow = Flow(transport="TCP", local=(LOOPBACK, 1), remote=(LOOPBACK, 2))
    assert replace(flow, transport="TLS") != flow
