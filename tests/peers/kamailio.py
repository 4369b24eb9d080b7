"""Kamailio, a registrar and a proxy that stays in the path of each call (Record-Route).

| number | whom it calls |
|---|---|
| 620, 101 | whoever registered as that; who calls as one of them is asked for a password |
| udp-15060, tcp-15060 | the SIP peer at that port of this machine, over UDP or TCP |

It prints a line for each request: ``REGISTER over tcp from 620``, and for one within a call how it came there:
``BYE over udp from 620, Route <sip:127.0.0.1:12000;lr>``.
"""

import re
from pathlib import Path

from tests.peers import missing
from tests.peers.network import Machine
from tests.peers.ports import LOOPBACK, free_ports
from tests.peers.process import Process
from tests.phone.certificates import Issued

USERS = ("620", "101")
REALM = "kamailio.example"

# $hdr(Route) is the first Route as it came; loose_route() takes it away.
_CONFIG = """
debug=0
log_stderror=yes
fork=yes
children=2
tcp_children=2
auto_aliases=no
server_signature=yes
{listen}
{tls}

loadmodule "kex"
loadmodule "pv"
loadmodule "xlog"
loadmodule "tm"
loadmodule "tmx"
loadmodule "sl"
loadmodule "rr"
loadmodule "maxfwd"
loadmodule "textops"
loadmodule "siputils"
loadmodule "usrloc"
loadmodule "registrar"
loadmodule "auth"
loadmodule "htable"

modparam("rr", "enable_double_rr", 1)
modparam("registrar", "min_expires", 5)
modparam("registrar", "max_expires", {expires})
modparam("registrar", "use_path", 1)
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_count", 1)
modparam("auth", "nonce_expire", {nonce_expires})
modparam("htable", "htable", "password=>size=4;")
modparam("tm", "fr_timer", 5000)
modparam("tm", "auto_inv_100", 1)

event_route[htable:mod-init] {{
{passwords}
}}

event_route[core:worker-one-init] {{
    xlog("L_ALERT", "Kamailio is ready\n");
}}

request_route {{
    xlog("L_ALERT", "$rm over $proto from $fU$(hdr(Route){{re.subst,/^(.+)$/, Route \\1/}})\\n");
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        route(WITHIN_DIALOG);
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        route(REGISTER);
        exit;
    }}
    if ($sht(password=>$fU) != $null) {{
        if (!pv_proxy_authenticate("{realm}", "$sht(password=>$fU)", "0")) {{
            auth_challenge("{realm}", "1");
            exit;
        }}
        consume_credentials();
    }}
    if (is_present_hf("Route")) loose_route();
    if (is_method("INVITE|SUBSCRIBE")) record_route();
    route(LOCATE);
    if (!t_relay()) sl_reply_error();
}}

route[WITHIN_DIALOG] {{
    if (loose_route()) {{
        if (is_method("NOTIFY")) record_route();
        if (!t_relay()) sl_reply_error();
    }} else if (is_method("ACK")) {{
        if (t_check_trans()) t_relay();
    }} else {{
        sl_send_reply("404", "Nobody here without a Route");
    }}
}}

route[REGISTER] {{
    if (!pv_www_authenticate("{realm}", "$sht(password=>$tU)", "0")) {{
        auth_challenge("{realm}", "1");
        exit;
    }}
    append_to_reply("Service-Route: <sip:{host}:$Rp;transport=$proto;lr>\\r\\n");
    if (!save("location")) sl_reply_error();
    if (registered("location", "$tu"))
        xlog("L_ALERT", "$tU is registered at $ct\\n");
    else
        xlog("L_ALERT", "$tU is registered no more\\n");
}}

route[LOCATE] {{
    if ($rU =~ "^(udp|tcp)-[0-9]+$") {{
        $du = "sip:{host}:" + $(rU{{s.select,1,-}}) + ";transport=" + $(rU{{s.select,0,-}});
    }} else if (!lookup("location")) {{
        sl_send_reply("404", "Not Registered");
        exit;
    }}
}}
"""

_TLS = """
enable_tls=yes
loadmodule "tls"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{issued.certificate}")
modparam("tls", "private_key", "{issued.key}")
"""


class Kamailio:
    """Kamailio: UDP and TCP on one port, TLS on the next one if it has a certificate."""

    def __init__(
        self,
        folder: Path,
        *,
        algorithm: str = "MD5",
        expires: int = 60,
        nonce_expires: int = 300,
        certificate: Issued | None = None,
        machine: Machine | None = None,
        host: str = LOOPBACK,
    ) -> None:
        """On this machine's loopback, or on another machine."""
        self.host = host
        self.port = free_ports(2)
        self.tls_port = self.port + 1
        self._folder = folder
        self._config = folder / "kamailio.cfg"
        self._values = {"algorithm": algorithm, "expires": expires, "nonce_expires": nonce_expires}
        self._certificate = certificate
        files = ("-f", self._config, "-Y", folder, "-P", folder / "pid")
        command = [missing.command("kamailio"), "-DD", "-E", "-m", "16", "-M", "4", *map(str, files)]
        self.process = Process(*(command if machine is None else machine.inside(*command)), has_children=True)

    @property
    def address(self) -> str:
        """`host:port`, for UDP and TCP."""
        return f"{self.host}:{self.port}"

    @staticmethod
    def password(user: str) -> str:
        """What a user of `USERS` registers with."""
        return f"secret-of-{user}"

    def start(self) -> None:
        """Starts it; it takes calls when this returns."""
        listen = [f"listen={protocol}:{self.address}" for protocol in ("udp", "tcp")]
        tls = ""
        if self._certificate is not None:
            listen.append(f"listen=tls:{self.host}:{self.tls_port}")
            tls = _TLS.format(issued=self._certificate)
        passwords = "".join(f'    $sht(password=>{user}) = "{self.password(user)}";\n' for user in USERS)
        self._config.write_text(
            _CONFIG.format(
                listen="\n".join(listen), tls=tls, passwords=passwords, realm=REALM, host=self.host, **self._values
            )
        )
        self.process.start_until("Kamailio is ready", within=10)

    def stop(self) -> None:
        """Ends it; who was registered is forgotten."""
        self.process.stop()

    def restart(self) -> None:
        """Ends it and starts it again on the same ports."""
        self.stop()
        self.start()

    async def registered(self, user: str, *, within: float = 10) -> str:
        """Waits until a user has registered; the Contact."""
        line = await self.process.printed(f"{user} is registered at", within=within)
        return re.sub(".* is registered at ", "", line)

    async def unregistered(self, user: str, *, within: float = 10) -> None:
        """Waits until a user has taken the registration back."""
        await self.process.printed(f"{user} is registered no more", within=within)

    async def saw(self, method: str, *, within: float = 10) -> str:
        """Waits for a request within a call; the line that was printed for it."""
        return await self.process.printed(f"{method} over .* Route ", within=within)
