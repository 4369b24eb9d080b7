"""Everything that the contract has a word for, once: what docs/mqtt shows as examples is captured here."""

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sip_bridge.bridge.service import Running, running
from sip_bridge.config import Config
from sip_bridge.mqtt import contract
from sip_bridge.phone.call import CallState, VoIPCall
from sip_bridge.phone.settings import (
    Contact,
    DirectAccount,
    DoorSettings,
    DTMFCode,
    DTMFSettings,
    RecordingSettings,
    RegisteredAccount,
    Secret,
)
from sip_bridge.sip.message import SIPMessage
from tests.bridge.conftest import TOPICS, Mqtt, Phone, config_of, phone_on_loopback, ringing_uri
from tests.bridge.sip_peers import Callee, callee
from tests.bridge.watcher import watching
from tests.phone.peer import until

# Placeholders for what is another each time.
_STABLE: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "2026-11-23T07:15:00.000Z"),
    (re.compile(r"\d{8}T\d{6}(\.\d+)?Z"), "20261123T071500Z"),
    (re.compile(r"127\.0\.0\.1:\d+"), "192.0.2.10:5060"),
    (re.compile(r"127\.0\.0\.1"), "192.0.2.10"),
    (re.compile(r'("port": )[1-9]\d+'), r"\g<1>5060"),
    (re.compile(r'("state_dir": )"[^"]*"'), r'\1"/srv/sip-bridge/state"'),
    (re.compile(r'("folder": )"[^"]*"'), r'\1"/srv/sip-bridge/recordings"'),
)
OPAQUE: Final = frozenset({"config", "counters", "capabilities"})  # what stands in them is held by other tests


def door(folder: Path) -> DirectAccount:
    return DirectAccount(
        id="door",
        name="Front door",
        user="door",
        contacts=(Contact(name="Kitchen", number="sip:kitchen@192.0.2.20"),),
        door=DoorSettings(code=Secret("4711"), hang_up=False),
        dtmf=DTMFSettings(pause=0.5, codes=(DTMFCode(name="family", digits=Secret("1234")),)),
        media_timeout=0.4,
        media_lost="keep",
    )


@dataclass(kw_only=True)
class Examples:
    """What was said: a payload for each topic, and for each verb what was asked and answered."""

    published: dict[str, Any] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """The file's text, with what is another each time made stable."""
        values = {"published": dict(sorted(self.published.items())), "requests": self.requests, "error": self.error}
        text = json.dumps(values, indent=2, ensure_ascii=False)
        for pattern, stable in _STABLE:
            text = pattern.sub(stable, text)
        text = re.sub(r'("transaction": ")(\w+)-\d+"', r'\1\2-1"', text)
        return _named(_named(text, r'"([0-9a-f]{32})"', "call"), r'"session": "([^"]+)"', "session") + "\n"


def _named(text: str, pattern: str, word: str) -> str:
    """Ids by their order: what is the same stays the same."""
    for number, found in enumerate(dict.fromkeys(re.findall(pattern, text)), start=1):
        text = text.replace(found, f"{word}-{number}")
    return text


class Conversation:
    """A client that asks, one thing after the other."""

    def __init__(self, mqtt: Mqtt) -> None:
        self.mqtt = mqtt
        self.examples = Examples()

    async def ask(self, verb: str, account: str | None = "door", **values: object) -> contract.Response:
        """A request whose response is remembered with it."""
        topic = TOPICS.of_bridge("request", verb) if account is None else TOPICS.of_account(account, "request", verb)
        request = {**values, "transaction": f"{verb}-{len(self.mqtt.raw)}"}  # one of its own: a repeat is not done
        self.mqtt.watcher.publish(topic, json.dumps(request))
        answer = topic.replace("/request/", "/response/")
        response: contract.Response = await self.mqtt.until(lambda seen, _: seen == answer)
        if response.status == "ok":
            told = json.loads(self.mqtt.raw[-1].payload)
            self.examples.requests.setdefault(verb, {"request": request, "response": told})
        return response

    def take_published(self) -> None:
        """Of each topic what said most."""
        best: dict[str, str] = {}
        for message in self.mqtt.watcher.record:
            topic = _general(message.topic)
            if topic is not None and _said(message.payload) > _said(best.get(topic, "{}")):
                best[topic] = message.payload
        self.examples.published = {topic: json.loads(text) for topic, text in best.items()}


def _general(topic: str) -> str | None:
    """A topic as the docs write it."""
    if topic == TOPICS.discovery:
        return "sip_bridge/discovery/<bridge>"
    if TOPICS.parse(topic) is None or "/request/" in topic or "/response/" in topic:
        return None
    general = re.sub(r"/account/[^/]+/", "/account/<id>/", topic.replace(TOPICS.prefix, "B", 1))
    is_common = "/event/" in topic and topic.rpartition("/")[2] not in contract.EVENT_CLASSES
    return general.rpartition("/")[0] + "/<NAME>" if is_common else general


def _said(payload: str) -> int:
    """How much a payload says: keys that are not null, at any depth."""

    def count(value: Any) -> int:
        match value:
            case dict():
                return sum(1 + count(each) for each in value.values() if each is not None)
            case list():
                return sum(1 + count(each) for each in value)
            case _:
                return 0

    return count(json.loads(payload or "{}"))


def differences(now: Any, before: Any, path: str = "") -> list[str]:
    """Where keys or types are others. What is null may be anything; of a list, the first item stands for all."""
    match now, before:
        case (None, _) | (_, None):
            return []
        case _ if path.rpartition(".")[2] in OPAQUE:
            return []
        case dict(), dict():
            others = [f"{path}.{key}" for key in sorted(now.keys() ^ before.keys())]
            common = now.keys() & before.keys()
            return others + [each for key in common for each in differences(now[key], before[key], f"{path}.{key}")]
        case list(), list():
            firsts = zip(now[:1], before[:1], strict=False)  # either may be empty
            return [each for one, other in firsts for each in differences(one, other, f"{path}[0]")]
        case (bool(), bool()) | (str(), str()):
            return []
        case (int() | float(), int() | float()):
            return [] if bool not in (type(now), type(before)) else [path]
        case _:
            return [path]


async def capture(folder: Path) -> Examples:
    """Have it; ``folder`` takes recordings."""
    async with callee() as registrar:
        registrar.answer = _registered
        return await _with(_config(folder, registrar), registrar)


async def _with(config: Config, registrar: Callee) -> Examples:
    async with (
        phone_on_loopback("station") as station,
        phone_on_loopback("guest", accept_transfers=True) as guest,
        running(config, read=lambda: _with_a_garden(config)) as bridge,
        watching(bridge.mqtt_host, bridge.mqtt_port, "#") as watcher,
    ):
        conversation = Conversation(Mqtt(watcher=watcher))
        await conversation.mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("state"))
        await _of_the_bridge(conversation, bridge)
        await _of_the_registrar(conversation, registrar, bridge)
        await _of_calls(conversation, station, guest, bridge)
        await conversation.ask("log_level", None, level="info")
        await conversation.ask("reload", None)
        await conversation.ask("restart", None)
        watcher.publish("homeassistant/status", "online")
        await conversation.mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("health"))
        conversation.take_published()
        return conversation.examples


def _config(folder: Path, registrar: Callee) -> Config:
    host, port = registrar.uri.removeprefix("sip:callee@").split(":")
    pbx = RegisteredAccount(id="pbx", name="PBX", user="620", server=host, port=int(port), password=Secret("s3cret"))
    config = config_of(door(folder), pbx)
    return replace(config, recording=RecordingSettings(folder=folder, min_free=0))


def _with_a_garden(config: Config) -> Config:
    """What somebody has written into the file meanwhile."""
    return replace(config, accounts=(*config.accounts, DirectAccount(id="garden", name="Garden gate", user="garden")))


def _registered(request: SIPMessage) -> str:
    contact = request.get("contact")
    return "200 OK" + (f"\r\nContact: {contact};expires=60" if request.method == "REGISTER" and contact else "")


async def _of_the_bridge(conversation: Conversation, bridge: Running) -> None:
    mqtt = conversation.mqtt
    refused = await conversation.ask("hangup")
    told = json.loads(mqtt.raw[-1].payload)
    conversation.examples.error = {"request": {"transaction": refused.transaction}, "response": told}
    await conversation.ask("trace", None, seconds=60)
    await conversation.ask("health_check", None)
    mqtt.watcher.publish(TOPICS.of_account("door", "request", "dial"), "100", retain=True)
    await mqtt.until(lambda topic, _: topic == TOPICS.of_bridge("logging"))


async def _of_the_registrar(conversation: Conversation, registrar: Callee, bridge: Running) -> None:
    mqtt = conversation.mqtt
    await conversation.ask("register", "pbx")
    await mqtt.event("REGISTRATION_CHANGED", "pbx")
    text = "Messages-Waiting: yes\r\nVoice-Message: 2/8\r\n"
    registrar.send(
        f"NOTIFY sip:620@127.0.0.1:{bridge.sip_port} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {registrar.uri.partition('@')[2]};branch=z9hG4bKmwi\r\nMax-Forwards: 70\r\n"
        "From: <sip:620@127.0.0.1>;tag=pbx\r\nTo: <sip:620@127.0.0.1>\r\nCall-ID: mwi\r\nCSeq: 1 NOTIFY\r\n"
        "Event: message-summary\r\nSubscription-State: active\r\nContact: <sip:pbx@127.0.0.1>\r\n"
        f"Content-Type: application/simple-message-summary\r\nContent-Length: {len(text)}\r\n\r\n{text}",
        bridge.sip_port,
    )
    await mqtt.until(lambda topic, _: topic == TOPICS.of_account("pbx", "messages"))
    await conversation.ask("unregister", "pbx")


async def _of_calls(conversation: Conversation, station: Phone, guest: Phone, bridge: Running) -> None:
    mqtt = conversation.mqtt
    line = f"sip:door@127.0.0.1:{bridge.sip_port}"
    await station.phone.send_message(line, "The parcel is behind the shed")
    await mqtt.event("MESSAGE")
    await conversation.ask("send_message", to=ringing_uri(station), text="Thank you!")
    await station.call(line)
    await mqtt.event("RINGING")
    await conversation.ask("reject", status=486)
    await conversation.ask("set", ring_timeout=60, dtmf_method="rtp")
    call = await _talking(conversation, station, line)
    await _of_keys_and_sound(conversation, call)
    first = call.call_id
    both: dict[str, Any] = {"to": ringing_uri(guest), "also": [ringing_uri(station)]}
    second = (await conversation.ask("dial", **both, timeout=30)).data["call_id"]
    other = await guest.state(CallState.RINGING)
    await other.answer()
    await mqtt.event("HUNT_DONE")
    await conversation.ask("join", call_id=first, other_call_id=second)
    await conversation.ask("separate", call_id=first)
    await conversation.ask("hold", call_id=second)
    await conversation.ask("resume", call_id=second)
    await conversation.ask("hangup", call_id=first)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_answer(station))
        await conversation.ask("transfer", call_id=second, to=ringing_uri(station))


async def _answer(phone: Phone) -> None:
    await (await phone.state(CallState.RINGING)).answer()


async def _talking(conversation: Conversation, station: Phone, line: str) -> VoIPCall:
    call = await station.call(line)
    await conversation.mqtt.event("RINGING")
    await conversation.ask("answer")
    await conversation.mqtt.event("ACK")
    await until(lambda: call.is_talking)
    return call


async def _of_keys_and_sound(conversation: Conversation, call: VoIPCall) -> None:
    mqtt = conversation.mqtt
    await conversation.ask("record", name="door")
    await call.send_dtmf("1234#", duration_ms=80, gap_ms=40)
    await mqtt.event("DTMF_SEQUENCE")
    await conversation.ask("send_dtmf", digits="12#")
    await conversation.ask("play", url="tone:busy/0.2", volume=0.5)
    await mqtt.event("PLAYBACK_DONE")
    await conversation.ask("play", url="tone:dial")
    await conversation.ask("stop_playback")
    await conversation.ask("mute")
    await conversation.ask("unmute")
    await conversation.ask("stop_recording")
    await mqtt.event("RECORDING_DONE")
    await conversation.ask("open_door")
    call.media.close()
    await mqtt.event("MEDIA_LOST")
