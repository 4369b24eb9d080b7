"""Digest (RFC 7616, RFC 8760): the RFCs' examples, and which challenge is answered how."""

import hashlib
import re

import pytest

from sip_bridge.errors import RemoteProtocolError
from sip_bridge.sip.auth import Authenticator, CredentialsManager
from sip_bridge.sip.digest import (
    Authorization,
    Challenge,
    Credentials,
    DigestInput,
    authorization,
    authorizations_of,
    challenges_of,
    digest_response,
    strongest,
)
from sip_bridge.sip.message import SIPMessage
from tests.scenario import PBX, Party, RawPeer, Wire

MUFASA = Credentials(username="Mufasa", password="Circle of Life")


def rfc7616(algorithm: str) -> DigestInput:
    return DigestInput(
        challenge=Challenge(
            realm="http-auth@example.org",
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            algorithm=algorithm,
            qop=("auth", "auth-int"),
            opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
        ),
        credentials=MUFASA,
        method="GET",
        uri="/dir/index.html",
        content=b"",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count=1,
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_section_3_9_1(algorithm: str, response: str) -> None:
    assert digest_response(rfc7616(algorithm)) == response


def test_the_example_of_rfc_2617_section_3_5() -> None:
    given = DigestInput(
        challenge=Challenge(
            realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop=("auth", "auth-int")
        ),
        credentials=Credentials(username="Mufasa", password="Circle Of Life"),
        method="GET",
        uri="/dir/index.html",
        content=b"",
        cnonce="0a4f113b",
        count=1,
    )
    assert digest_response(given) == "6629fae49393a05397450978507c4ef1"


def test_the_example_of_rfc_7616_section_3_9_2_as_its_erratum_4897_corrects_it() -> None:
    given = DigestInput(
        challenge=Challenge(
            realm="api@example.org",
            nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            algorithm="SHA-512-256",
            qop=("auth",),
            opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
        ),
        credentials=Credentials(username="Jäsøn Doe", password="Secret, or not?"),
        method="GET",
        uri="/doe.json",
        content=b"",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        count=1,
    )
    assert digest_response(given) == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


SIP = Credentials(username="alice", password="secret")


def ask(challenge: Challenge) -> DigestInput:
    return DigestInput(
        challenge=challenge,
        credentials=SIP,
        method="INVITE",
        uri="sip:bob@biloxi.example.com",
        content=b"v=0\r\n",
        cnonce="0a4f113b",
        count=2,
    )


def challenge_with(algorithm: str = "MD5", *qop: str) -> Challenge:
    return Challenge(realm="atlanta.example.com", nonce="n", algorithm=algorithm, qop=qop)


HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("sess", ["", "-SESS"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_every_algorithm_follows_rfc_7616_section_3_4(algorithm: str, sess: str, qop: str) -> None:
    def h(text: str) -> str:
        return hashlib.new(HASHES[algorithm], text.encode()).hexdigest()

    a1 = {"": "alice:atlanta.example.com:secret", "-SESS": f"{h('alice:atlanta.example.com:secret')}:n:0a4f113b"}
    a2 = {
        "auth": "INVITE:sip:bob@biloxi.example.com",
        "auth-int": f"INVITE:sip:bob@biloxi.example.com:{h('v=0' + chr(13) + chr(10))}",
    }
    expected = h(f"{h(a1[sess])}:n:00000002:0a4f113b:{qop}:{h(a2[qop])}")
    assert digest_response(ask(challenge_with(algorithm + sess, qop))) == expected


def test_without_qop_the_answer_is_rfc_2069s() -> None:
    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324  # the digest's own choice

    expected = h(f"{h('alice:atlanta.example.com:secret')}:n:{h('INVITE:sip:bob@biloxi.example.com')}")
    name, value = authorization(ask(challenge_with()))
    assert name == "Authorization"
    assert value == (
        'Digest username="alice", realm="atlanta.example.com", nonce="n", uri="sip:bob@biloxi.example.com", '
        f'response="{expected}", algorithm=MD5'
    )


def test_the_answer_quotes_what_must_be_quoted_and_nothing_else() -> None:
    challenge = Challenge(
        realm='a "b", c', nonce="n", algorithm="SHA-256-SESS", qop=("auth",), opaque="o", from_proxy=True
    )
    name, value = authorization(ask(challenge))
    assert name == "Proxy-Authorization"
    assert re.sub("response=[^,]*", "response=?", value) == (
        'Digest username="alice", realm="a \\"b\\", c", nonce="n", uri="sip:bob@biloxi.example.com", response=?, '
        'algorithm=SHA-256-sess, opaque="o", qop=auth, nc=00000002, cnonce="0a4f113b"'
    )


def test_a_session_key_without_qop_names_its_cnonce() -> None:
    assert authorization(ask(challenge_with("MD5-SESS")))[1].endswith('algorithm=MD5-sess, cnonce="0a4f113b"')


def unauthorized(*headers: str) -> SIPMessage:
    return SIPMessage("\r\n".join(["SIP/2.0 401 Unauthorized", "CSeq: 1 REGISTER", *headers, "", ""]).encode())


def test_challenges_are_read_from_any_number_of_lines_and_schemes() -> None:
    response = unauthorized(
        'WWW-Authenticate: Digest realm="a, b", nonce="1", algorithm=SHA-256, qop="auth,auth-int", '
        'opaque="o", stale=TRUE, Digest realm="a, b", nonce="2", algorithm=md5',
        'WWW-Authenticate: Basic realm="x", Negotiate, NTLM abc==, digest nonce="3",realm="c",x=y',
        'Proxy-Authenticate: Digest realm=d, nonce=4, algorithm="MD5-sess", qop=""',
    )
    assert challenges_of(response) == (
        Challenge(realm="a, b", nonce="1", algorithm="SHA-256", qop=("auth", "auth-int"), opaque="o", stale=True),
        Challenge(realm="a, b", nonce="2"),
        Challenge(realm="c", nonce="3"),
        Challenge(realm="d", nonce="4", algorithm="MD5-SESS", from_proxy=True),
    )


@pytest.mark.parametrize(
    "line",
    [
        'Digest realm="a"',
        'Digest nonce="a"',
        'Digest realm="a", nonce',
        'Digest realm="a", ="b"',
        'Digest realm="a", (x="b"',
        'Digest realm="open, nonce="1',
        "Digest",
    ],
)
def test_a_malformed_challenge_is_refused(line: str) -> None:
    with pytest.raises(RemoteProtocolError):
        challenges_of(unauthorized(f"WWW-Authenticate: {line}"))


def test_the_strongest_usable_challenge_of_each_realm_is_answered() -> None:
    sha, md5, new = challenge_with("SHA-256"), challenge_with("MD5"), challenge_with("SHA-3")
    token_only = Challenge(realm="b", nonce="n", qop=("token",))
    of_proxy = Challenge(realm="atlanta.example.com", nonce="n", from_proxy=True)
    best = challenge_with("SHA-512-256")
    assert strongest((md5, sha, new, token_only, of_proxy)) == (sha, of_proxy)
    assert strongest((sha, best, md5)) == (best,)
    assert strongest((new, token_only)) == ()


def managing(*realms: str | None) -> CredentialsManager:
    manager = CredentialsManager()
    for realm in realms:
        manager.add("alice", f"of {realm}", realm=realm)
    return manager


def test_a_session_key_keeps_its_first_cnonce_as_long_as_the_nonce_lives() -> None:
    tokens = iter("abc")
    authenticator = Authenticator(managing(None), token=lambda _: next(tokens), trusts=lambda _: True)
    assert authenticator.headers("INVITE", "sip:x", b"") == []
    learned = [
        authenticator.learn(unauthorized(f'WWW-Authenticate: Digest realm="r", nonce="{nonce}", qop="auth"'), set())
        for nonce in ("1", "1", "2")
    ]
    assert learned == [True, True, True]
    values = [authenticator.headers("INVITE", "sip:x", b"")[0][1] for _ in range(2)]
    assert [re.findall('nc=(.*), cnonce="(.*)"', value) for value in values] == [
        [("00000001", "b")],
        [("00000002", "b")],
    ]


def test_the_first_realm_is_pinned_and_others_get_no_answer() -> None:
    authenticator = Authenticator(managing(None), token=lambda _: "c", trusts=lambda _: True)
    assert authenticator.learn(unauthorized('WWW-Authenticate: Digest realm="r", nonce="1"'), set())
    assert not authenticator.learn(unauthorized('WWW-Authenticate: Digest realm="evil", nonce="2"'), set())
    assert len(authenticator.headers("INVITE", "sip:x", b"")) == 1


def test_credentials_are_found_most_exact_first() -> None:
    manager = CredentialsManager()
    manager.add("any", "1")
    manager.add("by-user", "2", user="620")
    manager.add("by-realm", "3", realm="r")
    manager.add("by-server", "4", server="s")
    manager.add("exact", "5", server="s", realm="r", user="620")
    asked = [("x", "x", "x"), ("x", "x", "620"), ("x", "r", "620"), ("s", "x", "x"), ("s", "r", "620")]
    assert [manager.get(*question)["username"] for question in asked] == [
        "any",
        "by-user",
        "by-realm",
        "by-server",
        "exact",
    ]
    manager.add("newer", "6")
    assert manager.find("x", "x", "x") == Credentials(username="newer", password="6")


def test_without_credentials_one_is_anonymous() -> None:
    assert CredentialsManager().get("s", "r", "u") == {"username": "anonymous", "password": ""}
    assert CredentialsManager().find("s", "r", "u") is None


def test_a_password_is_not_in_a_repr() -> None:
    assert repr(SIP) == "Credentials(username='alice')"


def test_the_first_realm_of_a_registrar_and_of_a_proxy_are_pinned_each() -> None:
    authenticator = Authenticator(managing(None), token=lambda _: "c", trusts=lambda _: True)
    lines = ['WWW-Authenticate: Digest realm="pbx", nonce="1"', 'Proxy-Authenticate: Digest realm="edge", nonce="2"']
    assert authenticator.learn(unauthorized(*lines), set())
    assert not authenticator.learn(unauthorized('Proxy-Authenticate: Digest realm="evil", nonce="3"'), set())
    made = authenticator.headers("INVITE", "sip:x", b"")
    assert [(name, re.findall('realm="(.*?)"', value)) for name, value in made] == [
        ("Authorization", ["pbx"]),
        ("Proxy-Authorization", ["edge"]),
    ]


def answered_realms(authenticator: Authenticator) -> list[str]:
    return [value.split('realm="')[1].split('"')[0] for _, value in authenticator.headers("INVITE", "sip:x", b"")]


def test_every_realm_that_has_credentials_is_answered_with_its_own() -> None:
    authenticator = Authenticator(managing("a", "b", None), token=lambda _: "c", trusts=lambda _: True)
    lines = [f'Proxy-Authenticate: Digest realm="{realm}", nonce="{realm}"' for realm in "abcd"]
    assert authenticator.learn(unauthorized(*lines), set())
    assert answered_realms(authenticator) == ["a", "b", "c"]
    answer = authenticator.headers("INVITE", "sip:x", b"")[1][1]
    given = DigestInput(
        challenge=Challenge(realm="b", nonce="b"),
        credentials=Credentials(username="alice", password="of b"),
        method="INVITE",
        uri="sip:x",
        content=b"",
        cnonce="c",
        count=1,
    )
    assert f'response="{digest_response(given)}"' in answer


def test_credentials_with_a_realm_go_nowhere_else() -> None:
    authenticator = Authenticator(managing("a"), token=lambda _: "c", trusts=lambda _: True)
    assert not authenticator.learn(unauthorized('WWW-Authenticate: Digest realm="b", nonce="1"'), set())
    assert authenticator.headers("INVITE", "sip:x", b"") == []


def test_too_weak_an_algorithm_is_not_answered() -> None:
    authenticator = Authenticator(managing(None), token=lambda _: "c", trusts=lambda _: True, weakest="SHA-256")
    md5 = 'WWW-Authenticate: Digest realm="r", nonce="1"'
    assert not authenticator.learn(unauthorized(md5), set())
    assert authenticator.learn(unauthorized(md5, f"{md5}, algorithm=SHA-256"), set())


def test_the_next_nonce_that_a_server_names_is_used(wire: Wire) -> None:
    carol = Party(wire, "192.0.2.3")
    carol.add_registered_line("620")
    pbx = RawPeer(wire, PBX.host)
    infos = [
        [],
        ['Authentication-Info: qop=auth, nextnonce="n2", rspauth="x"'],
        ['Proxy-Authentication-Info: nextnonce="p2"', 'Authentication-Info: nextnonce=""'],
        [],
    ]
    challenge = ['WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth"']
    statuses = iter([401, 200, 200, 200])

    def answer(request: SIPMessage) -> None:
        status = next(statuses)
        pbx.respond(request, status, headers=[*infos.pop(0), *{401: challenge}.get(status, [])])

    pbx.on_request = answer
    for _ in range(3):
        carol.do(carol.endpoint.register, "620")
        wire.run(0.1)
    used = [re.findall('nonce="(.*?)".*nc=(.*?),', message.get("authorization") or "") for message in pbx.received]
    assert used == [[], [("n1", "00000001")], [("n2", "00000001")], [("n2", "00000002")]]


@pytest.mark.parametrize(
    "line",
    [
        'Digest username="u", realm="r", nonce="n", uri="sip:x"',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=auth, nc=1, cnonce="c"',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=auth, nc=0000000g, cnonce="c"',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=auth, nc=00000001',
        'Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", qop=token, nc=00000001, cnonce="c"',
        "Digest nonsense",
    ],
)
def test_a_malformed_answer_is_refused(line: str) -> None:
    with pytest.raises(RemoteProtocolError):
        authorizations_of(unauthorized(f"Authorization: {line}"))


def test_an_answer_is_read_as_it_was_made() -> None:
    given = ask(challenge_with("SHA-256", "auth"))
    name, value = authorization(given)
    (read,) = authorizations_of(unauthorized(f"{name}: {value}"))
    assert read == Authorization(
        username="alice",
        realm="atlanta.example.com",
        nonce="n",
        uri="sip:bob@biloxi.example.com",
        response=digest_response(given),
        algorithm="SHA-256",
        qop="auth",
        cnonce="0a4f113b",
        count=2,
    )
    assert read.expected_response(SIP, "INVITE", b"v=0\r\n") == read.response
