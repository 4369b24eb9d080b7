"""Home Assistant, the real one, with our component in it, connected to an MQTT broker."""

import asyncio
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect

from tests.peers.forky import CHECKOUT, forky_command
from tests.peers.mosquitto import Mosquitto
from tests.peers.ports import LOOPBACK, free_port
from tests.peers.process import PeerError, Process

State = dict[str, Any]  # entity_id, state, attributes, last_changed, ... as Home Assistant's API has them

T = TypeVar("T")

USER, PASSWORD = "tester", "tested"
_START_SECONDS = 90
_VOICE = Path(__file__).parent / "stand_in_voice"  # an integration of Home Assistant's, not a module of ours
_CONFIGURATION = """
homeassistant:
  internal_url: http://{host}:{port}
http:
  server_host: {host}
  server_port: {port}
frontend:
config:
api:
automation: !include automations.yaml
media_source:
stand_in_voice:
logger:
  default: warning
  logs:
    homeassistant.bootstrap: info
    homeassistant.components.mqtt: info
    custom_components.sip_phone: debug
"""
# Everything but the first user: the other steps would set up integrations that look for the internet.
_ONBOARDING = {
    "version": 4,
    "minor_version": 1,
    "key": "onboarding",
    "data": {"done": ["core_config", "analytics", "integration"]},
}
# Its pages need the descriptions of all actions, and so the modules of cameras and voice assistants, which import these
# and call nothing of them here. The real ones are built for few machines, or need libraries of the system.
_STAND_INS = {
    "pymicro_vad.py": "class MicroVad: ...\n",
    "pyspeex_noise.py": "class AudioProcessor: ...\n",
    "turbojpeg.py": "class TurboJPEG: ...\n",
}


class HomeAssistant:
    """Home Assistant on loopback with a configuration of its own; all its methods speak its public API."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self.broker = broker
        self.folder = folder
        self._token = ""
        *enter, _ = forky_command("hass")
        path = f"PYTHONPATH={folder / 'stand_ins'}"
        self.process = Process(*enter, "env", path, "hass", "--config", folder, "--skip-pip", "--log-no-color")

    @property
    def url(self) -> str:
        """Of its web page and API, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """What it logged since its last start."""
        return self.process.output

    async def set_up(self) -> None:
        """Writes the configuration, starts, makes a user, and adds the MQTT integration."""
        await asyncio.to_thread(self._write_config)
        await self._start_process()
        await self._make_user()
        await self._running()
        async with (
            self._websocket() as socket
        ):  # else it takes back its port after five minutes, and asks on every page
            # Else it takes back its port after five minutes, and asks about it on every page.
            await _ask(socket, 1, {"type": "http/config/promote"})
        flow = await self.start_flow("mqtt")
        other = {"set_client_cert": False, "set_ca_cert": "off", "transport": "tcp"}
        answers = {"broker": self.broker.host, "port": self.broker.port, "other_settings": other}
        result = await self.step_flow(flow["flow_id"], answers)
        if result["type"] != "create_entry":
            raise PeerError(f"Home Assistant can't use the MQTT broker: {result}")

    async def start(self) -> None:
        """Starts again what `stop` or `kill` ended; everything is set up when this returns."""
        await self._start_process()
        await self._running()

    async def stop(self) -> None:
        """Ends it in an orderly way."""
        await asyncio.to_thread(self.process.stop, within=60)

    async def restart(self) -> None:
        """Ends and starts it."""
        await self.stop()
        await self.start()

    async def get_states(self) -> list[State]:
        """Of all entities."""
        states: list[State] = await self.request("GET", "/api/states")
        return states

    async def get_state(self, entity_id: str) -> State:
        """Of one entity; PeerError if there is none."""
        state: State = await self.request("GET", f"/api/states/{entity_id}")
        return state

    async def call_service(
        self, domain: str, service: str, data: dict[str, Any] | None = None, *, return_response: bool = False
    ) -> Any:
        """Runs an action to its end; PeerError with what Home Assistant says if it fails."""
        asked = {"type": "call_service", "domain": domain, "service": service, "service_data": data or {}}
        async with self._websocket() as socket:
            result = await _ask(socket, 1, {**asked, "return_response": return_response})
        return result["response"] if return_response else None

    async def start_flow(self, handler: str) -> dict[str, Any]:
        """Adds an integration as a person would; the first form."""
        flow: dict[str, Any] = await self.request("POST", "/api/config/config_entries/flow", {"handler": handler})
        return flow

    async def step_flow(self, flow_id: str, answers: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sends a form's answers; what comes next (`type` is `form`, `create_entry` or `abort`)."""
        path = f"/api/config/config_entries/flow/{flow_id}"
        step: dict[str, Any] = await self.request("POST", path, answers or {})
        return step

    async def flows_in_progress(self, handler: str = "sip_phone") -> list[dict[str, Any]]:
        """What Home Assistant discovered and a person may confirm."""
        async with self._websocket() as socket:
            flows = await _ask(socket, 1, {"type": "config_entries/flow/progress"})
        return [flow for flow in flows if flow["handler"] == handler]

    async def wait_for_flow(self, handler: str = "sip_phone", *, within: float = 20) -> dict[str, Any]:
        """The discovered flow of an integration, there already or coming `within` seconds."""

        def of_handler(changes: Any) -> dict[str, Any] | None:
            flows = (change["flow"] for change in changes if change["type"] != "removed")
            return next((flow for flow in flows if flow["handler"] == handler), None)

        async def now() -> dict[str, Any] | None:
            return next(iter(await self.flows_in_progress(handler)), None)

        return await self._first({"type": "config_entries/flow/subscribe"}, of_handler, f"{handler} flow", within, now)

    async def config_entries(self, domain: str = "sip_phone") -> list[dict[str, Any]]:
        """What is set up, with its `state` (`loaded`, ...)."""
        entries: list[dict[str, Any]] = await self.request("GET", f"/api/config/config_entries/entry?domain={domain}")
        return entries

    async def devices(self) -> list[dict[str, Any]]:
        """The device registry."""
        async with self._websocket() as socket:
            devices: list[dict[str, Any]] = await _ask(socket, 1, {"type": "config/device_registry/list"})
        return devices

    async def entities(self, platform: str = "sip_phone") -> list[dict[str, Any]]:
        """The entity registry's entries of one integration."""
        async with self._websocket() as socket:
            entities = await _ask(socket, 1, {"type": "config/entity_registry/list"})
        return [entity for entity in entities if entity["platform"] == platform]

    async def add_automation(self, blueprint: str, **inputs: Any) -> None:
        """An automation from one of our blueprints, that works when this returns; its entity is named like it."""
        path = Path("blueprints", "automation", "sip_phone", f"{blueprint}.yaml")
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, self.folder / path)
        used = {"path": f"sip_phone/{blueprint}.yaml", "input": inputs}
        automation = {"alias": blueprint, "use_blueprint": used}
        await self.request("POST", f"/api/config/automation/config/{blueprint}", automation)
        await self.wait_for_state(f"automation.{blueprint}", "on")

    async def add_dashboard(self, url_path: str, *cards: dict[str, Any]) -> None:
        """A dashboard of one view with these cards, at `/url_path/0`."""
        async with self._websocket() as socket:
            await _ask(socket, 1, {"type": "lovelace/dashboards/create", "url_path": url_path, "title": url_path})
            config = {"views": [{"cards": cards}]}
            await _ask(socket, 2, {"type": "lovelace/config/save", "url_path": url_path, "config": config})

    async def wait_for_state(
        self, entity_id: str, predicate: Callable[[State], bool] | str, *, within: float = 10
    ) -> State:
        """The first state of an entity that fits (or is the given word): the one it has, or one that comes."""
        fits = predicate if callable(predicate) else lambda state: state["state"] == predicate

        def new_state(event: Any) -> State | None:
            if event["event_type"] != "state_changed" or event["data"]["entity_id"] != entity_id:
                return None
            state: State | None = event["data"]["new_state"]
            return state if state is not None and fits(state) else None

        async def now() -> State | None:
            return next((s for s in await self.get_states() if s["entity_id"] == entity_id and fits(s)), None)

        subscription = {"type": "subscribe_events", "event_type": "state_changed"}
        return await self._first(subscription, new_state, f"such state of {entity_id}", within, now)

    @asynccontextmanager
    async def states_of(self, entity_id: str) -> AsyncIterator[list[State]]:
        """Gathers the states that an entity takes within the block, so that none is missed between two looks."""
        seen: list[State] = []
        async with self._websocket() as socket:
            await _ask(socket, 1, {"type": "subscribe_events", "event_type": "state_changed"})
            yield seen
            await socket.send(json.dumps({"id": 2, "type": "ping"}))
            async for message in _messages(socket):
                if message["type"] == "pong":
                    return
                data = message["event"]["data"]
                if data["entity_id"] == entity_id and data["new_state"] is not None:
                    seen.append(data["new_state"])

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Asks its REST API, which speaks JSON; PeerError with the answer if it refuses."""
        return await asyncio.to_thread(self._request, method, path, json.dumps(body).encode(), "application/json")

    async def _start_process(self) -> None:
        await asyncio.to_thread(self.process.start_until, "Home Assistant initialized", within=_START_SECONDS)

    async def _make_user(self) -> None:
        client = f"{self.url}/"
        user = {"client_id": client, "name": "Tester", "username": USER, "password": PASSWORD, "language": "en"}
        code = (await self.request("POST", "/api/onboarding/users", user))["auth_code"]
        form = urllib.parse.urlencode({"grant_type": "authorization_code", "code": code, "client_id": client})
        kind = "application/x-www-form-urlencoded"
        answer = await asyncio.to_thread(self._request, "POST", "/auth/token", form.encode(), kind)
        self._token = answer["access_token"]
        async with self._websocket() as socket:
            asked = {"type": "auth/long_lived_access_token", "client_name": "tests", "lifespan": 1}
            self._token = await _ask(socket, 1, asked)

    async def _running(self) -> None:
        """Waits for the end of the start: only then does every integration work."""

        async def now() -> bool | None:
            return (await self.request("GET", "/api/config"))["state"] == "RUNNING" or None

        subscription = {"type": "subscribe_events", "event_type": "homeassistant_started"}
        await self._first(subscription, lambda _event: True, "end of the start", _START_SECONDS, now)

    async def _first(
        self,
        subscription: dict[str, Any],
        pick: Callable[[Any], T | None],
        what: str,
        within: float,
        now: Callable[[], Awaitable[T | None]] | None = None,
    ) -> T:
        """The first thing that `pick` finds in a subscription's events, or that `now` finds once it is live."""
        try:
            async with asyncio.timeout(within), self._websocket() as socket:
                await _ask(socket, 1, subscription)
                found = None if now is None else await now()
                if found is not None:
                    return found
                async for message in _messages(socket):
                    found = pick(message["event"])
                    if found is not None:
                        return found
        except TimeoutError:
            pass
        raise PeerError(f"Home Assistant had no {what} in {within} s; it logged:\n{self.log}")

    @asynccontextmanager
    async def _websocket(self) -> AsyncIterator[ClientConnection]:
        async with connect(f"ws://{self.host}:{self.port}/api/websocket", max_size=None) as socket:
            await socket.recv()  # auth_required
            await socket.send(json.dumps({"type": "auth", "access_token": self._token}))
            answer = json.loads(await socket.recv())
            if answer["type"] != "auth_ok":
                raise PeerError(f"Home Assistant refused its own token: {answer}")
            yield socket

    def _request(self, method: str, path: str, body: bytes, kind: str) -> Any:
        request = urllib.request.Request(  # noqa: S310  # the address is our own
            f"{self.url}{path}",
            data=None if method == "GET" else body,
            headers={"Content-Type": kind, "Authorization": f"Bearer {self._token}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise PeerError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def _write_config(self) -> None:
        storage = self.folder / ".storage"
        storage.mkdir(parents=True)
        (storage / "onboarding").write_text(json.dumps(_ONBOARDING))
        (self.folder / "configuration.yaml").write_text(_CONFIGURATION.format(host=self.host, port=self.port))
        (self.folder / "automations.yaml").write_text("[]")
        stand_ins = self.folder / "stand_ins"
        stand_ins.mkdir()
        for name, content in _STAND_INS.items():
            (stand_ins / name).write_text(content)
        shutil.copytree(
            CHECKOUT / "custom_components",
            self.folder / "custom_components",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copytree(_VOICE, self.folder / "custom_components" / _VOICE.name)


async def _ask(socket: ClientConnection, number: int, question: dict[str, Any]) -> Any:
    """The result of a command; events that come before it are lost."""
    await socket.send(json.dumps({"id": number, **question}))
    async for message in _messages(socket):
        if message["type"] == "result" and message["id"] == number:
            if not message["success"]:
                raise PeerError(f"{question['type']}: {message['error']}")
            return message["result"]
    raise PeerError(f"Home Assistant closed the connection after {question['type']}")


async def _messages(socket: ClientConnection) -> AsyncIterator[Any]:
    """Every message; Home Assistant may pack several into one frame."""
    async for frame in socket:
        messages = json.loads(frame)
        for message in messages if isinstance(messages, list) else [messages]:
            yield message
