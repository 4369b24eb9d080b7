"""Asterisk, with a dialplan of numbers that behave in one known way each.

| number | what it does | | number | what it does |
|---|---|---|---|---|
| 600 | answers and echoes | | 203 | answers and plays a short sound |
| 200 | is busy | | 204 | answers and records (`recordings`/<caller>.wav) |
| 201 | rings and never answers | | 620 | calls whoever registered as 620 |
| 202 | answers, hangs up after a second | | 101 | calls whoever registered as 101 |
| 205 | answers and prints four keys | | 621 | as 101; with 100rel, session timers, keys by INFO |
| 206 | answers and presses 1, * and # | | 622, 623 | as 101; they send sound to each other directly |
| 207 | answers and transfers the caller to 600 | | 630 to 633 | as 101; with one codec each: `CODECS` |
| 208 | as 204; in wideband (<caller>.wav16) | | 634 | as 101, with PCMU; its sound is encrypted (SDES) |
| 209 | answers and plays `sounds`/heard | | 635 | as 101, with PCMU; keys are tones in the sound |
| 210 | plays `sounds`/heard, does not answer | | 636 | as 634, but who can't is talked to plainly |
| 211 | answers and prints as many keys as `KEYS` has | | | |
| 212 | answers and presses `KEYS` | | | |

Who subscribes to 100 watches the calls of 101; a text to any number comes back to 620 as "Re: ...".
"""

import asyncio
import re
from pathlib import Path

from tests.peers.forky import forky_command
from tests.peers.ports import LOOPBACK, free_ports
from tests.peers.process import PeerError, Process
from tests.phone.certificates import Issued

CODECS = {"630": "ulaw", "631": "alaw", "632": "g722", "633": "opus"}
USERS = {  # and what is special about them
    "620": "",
    "101": "",
    "621": "100rel=required\ntimers=always\ntimers_sess_expires=90\ndtmf_mode=info\n",
    "622": "direct_media=yes\n",
    "623": "direct_media=yes\n",
    **{user: f"allow=!all,{codec}\n" for user, codec in CODECS.items()},
    "634": "allow=!all,ulaw\nmedia_encryption=sdes\n",
    "635": "allow=!all,ulaw\ndtmf_mode=inband\n",
    "636": "allow=!all,ulaw\nmedia_encryption=sdes\nmedia_encryption_optimistic=yes\n",
}
KEYS = "04AB165A29C4716*212AC4A4002965B1373*DB050BD5DA3D5A"  # no #: it would end what is read
_RTP_PORTS = 200

_FOLDERS = {
    "astetcdir": "etc",
    "astrundir": "run",
    "astlogdir": "log",
    "astspooldir": "spool",
    "astvarlibdir": "lib",
    "astdbdir": "lib",
    "astkeydir": "lib",
}

_MODULES = """
app_dial app_echo app_playback app_read app_record app_senddtmf app_transfer app_voicemail bridge_native_rtp
bridge_simple bridge_softmix chan_pjsip codec_alaw codec_g722 codec_gsm codec_opus_open_source codec_resample codec_ulaw
format_gsm format_pcm format_wav func_callerid pbx_config res_clioriginate res_format_attr_opus res_musiconhold
res_pjproject res_pjsip res_pjsip_authenticator_digest res_pjsip_caller_id res_pjsip_dialog_info_body_generator
res_pjsip_dtmf_info res_pjsip_endpoint_identifier_user res_pjsip_exten_state res_pjsip_logger res_pjsip_messaging
res_pjsip_mwi res_pjsip_mwi_body_generator res_pjsip_nat res_pjsip_outbound_publish res_pjsip_pubsub res_pjsip_refer
res_pjsip_registrar res_pjsip_rfc3326 res_pjsip_sdp_rtp res_pjsip_session res_rtp_asterisk res_sorcery_astdb
res_sorcery_config res_sorcery_memory res_srtp res_timing_timerfd
"""

_DIALPLAN = """
[phones]
exten => 100,hint,PJSIP/101
exten => 600,1,Answer()
 same => n,Echo()
exten => 200,1,Hangup(17)
exten => 201,1,Ringing()
 same => n,Wait(3600)
exten => 202,1,Answer()
 same => n,Wait(1)
 same => n,Hangup()
exten => 203,1,Answer()
 same => n,Playback(hello-world)
 same => n,Hangup()
exten => 204,1,Answer()
 same => n,Record({recordings}/${{CALLERID(num)}}.wav,,60,qk)
exten => 205,1,Answer()
 same => n,Read(keys,,4)
exten => 206,1,Answer()
 same => n,Wait(0.2)
 same => n,SendDTMF(1*#)
 same => n,Wait(60)
exten => 207,1,Answer()
 same => n,Transfer(PJSIP/sip:600@{address})
exten => 208,1,Answer()
 same => n,Record({recordings}/${{CALLERID(num)}}.wav16,,60,qk)
exten => 209,1,Answer()
 same => n,Playback({sounds}/heard)
 same => n,Wait(60)
exten => 210,1,Progress()
 same => n,Playback({sounds}/heard,noanswer)
 same => n,Wait(60)
exten => 211,1,Answer()
 same => n,Read(keys,,{count},,1,60)
exten => 212,1,Answer()
 same => n,Wait(0.2)
 same => n,SendDTMF({keys},100,80)
 same => n,Wait(60)
exten => _[16][023][0-5],1,Set(CALLERID(all)=Kitchen <101>)
 same => n,Dial(PJSIP/${{EXTEN}},60)
[texts]
exten => _X.,1,Set(MESSAGE(body)=Re: ${{MESSAGE(body)}})
 same => n,MessageSend(pjsip:620,sip:${{EXTEN}}@{address})
"""

_USER = """
[{user}]
type=endpoint
context=phones
disallow=all
allow=ulaw,alaw
auth={user}
aors={user}
direct_media=no
rtp_symmetric=yes
dtmf_mode=rfc4733
message_context=texts
{special}

[{user}]
type=auth
auth_type=userpass
username={user}
password={password}

[{user}]
type=aor
max_contacts=1
remove_existing=yes
minimum_expiration=5
maximum_expiration=10
mailboxes={user}@default
qualify_frequency=5
"""

_TLS = """
[tls]
type=transport
protocol=tls
method=tlsv1_2
bind={host}:{port}
cert_file={issued.certificate}
priv_key_file={issued.key}
"""

_VOICEMAIL = """
[general]
format=wav
pollmailboxes=yes
pollfreq=1
[default]
620 => 1,Door
101 => 1,Kitchen
"""


class Asterisk:
    """Asterisk on loopback with files of its own: UDP and TCP on one port, TLS on the next one with a certificate."""

    def __init__(self, folder: Path, *, certificate: Issued | None = None) -> None:
        self.host = LOOPBACK
        self.port = free_ports(2)
        self.tls_port = self.port + 1
        self._certificate = certificate
        self.recordings = folder / "recordings"
        self.sounds = folder / "sounds"
        self._folder = folder
        self._config = folder / "etc" / "asterisk.conf"
        self._command = [*forky_command("asterisk"), "-C", str(self._config)]
        self.process = Process(*self._command, "-f", "-n")

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
        self._write_config()
        self.process.start_until("Asterisk Ready", within=30)

    def stop(self) -> None:
        """Ends it in an orderly way; calls are hung up."""
        self.process.stop()

    def kill(self) -> None:
        """Ends it as a power cut would: nobody hears of it."""
        self.process.kill()

    def restart(self) -> None:
        """Ends it and starts it on the same port; registrations survive, as in life."""
        self.stop()
        self.start()

    async def cli(self, command: str) -> str:
        """What Asterisk's console answers, for example to `pjsip show contacts`."""
        process = await asyncio.create_subprocess_exec(
            *self._command, "-rx", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        answer = said.decode(errors="replace")
        if process.returncode != 0 or answer.startswith("No such command"):
            raise PeerError(f"asterisk -rx {command!r}: {answer}")
        return answer

    async def originate(self, user: str, *, then: str = "600", directly: bool = False) -> None:
        """Calls a registered user, who sees Kitchen <101>, and connects the answered call to the number `then`.

        ``directly`` keeps the sound as it is, and the user sees nobody.
        """
        channel = f"PJSIP/{user}" if directly else f"Local/{user}@phones"
        await self.cli(f"channel originate {channel} extension {then}@phones")

    def leave_message(self, user: str) -> None:
        """Puts a new message into a user's mailbox; it is seen within a second."""
        inbox = self._folder / _FOLDERS["astspooldir"] / "voicemail" / "default" / user / "INBOX"
        inbox.mkdir(parents=True)
        (inbox / "msg0000.wav").write_bytes(b"")
        (inbox / "msg0000.txt").write_text("[message]\nduration=1\n")

    async def contacts(self, user: str) -> list[str]:
        """The URIs under which a user is registered now."""
        return re.findall(rf"Contact: +{user}/(\S+)", await self.cli("pjsip show contacts"))

    async def registered(self, user: str, *, within: float = 10) -> None:
        """Waits until the user has registered since the start."""
        await self.process.printed(f"Added contact .* to AOR '{user}'", within=within)

    async def channels(self) -> int:
        """How many call legs it has now."""
        answer = await self.cli("core show channels count")
        found = re.search(r"(\d+) active channel", answer)
        if found is None:
            raise PeerError(answer)
        return int(found[1])

    def _write_config(self) -> None:
        for name in (*_FOLDERS.values(), "recordings", "sounds"):
            (self._folder / name).mkdir(exist_ok=True)
        rtp = free_ports(_RTP_PORTS)
        issued = self._certificate
        tls = "" if issued is None else _TLS.format(host=self.host, port=self.tls_port, issued=issued)
        files = {
            "asterisk.conf": (
                "[directories]\n"
                + "".join(f"{name} => {self._folder}/{place}\n" for name, place in _FOLDERS.items())
                + "astdatadir => /usr/share/asterisk\n[options]\nverbose = 4\n"
            ),
            "modules.conf": "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in _MODULES.split()),
            "logger.conf": "[logfiles]\nconsole => notice,warning,error,verbose\n",
            "voicemail.conf": _VOICEMAIL,
            "musiconhold.conf": "[default]\nmode=files\ndirectory=/usr/share/asterisk/sounds/en\n",
            "rtp.conf": f"[general]\nrtpstart={rtp}\nrtpend={rtp + _RTP_PORTS - 1}\n",
            "extensions.conf": _DIALPLAN.format(
                recordings=self.recordings, sounds=self.sounds, address=self.address, keys=KEYS, count=len(KEYS)
            ),
            "pjsip.conf": "[global]\ntype=global\ndebug=yes\n"
            + "".join(
                f"[{protocol}]\ntype=transport\nprotocol={protocol}\nbind={self.address}\n"
                for protocol in ("udp", "tcp")
            )
            + "".join(
                _USER.format(user=user, password=self.password(user), special=special)
                for user, special in USERS.items()
            )
            + tls,
        }
        for name, text in files.items():
            (self._folder / "etc" / name).write_text(text)
