"""The running bridge: broker, MQTT session, SIP client and phones, started and stopped in order."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sip_bridge import __version__
from sip_bridge.bridge import home_assistant, translate
from sip_bridge.bridge.broker import broker_settings, mqtt_settings
from sip_bridge.bridge.counters import COUNTERS
from sip_bridge.bridge.inbox import Inbox
from sip_bridge.bridge.journal import Journal
from sip_bridge.bridge.log import MQTTLogHandler
from sip_bridge.bridge.publisher import Publisher
from sip_bridge.bridge.reload import Changes, changes, in_effect
from sip_bridge.bridge.requests import Requests
from sip_bridge.bridge.settings_store import SettingsStore
from sip_bridge.bridge.trace import Trace
from sip_bridge.config import Config, EmbeddedMQTT, redacted
from sip_bridge.errors import ConfigError, InvalidStateError
from sip_bridge.mqtt import contract
from sip_bridge.mqtt.broker import EmbeddedBroker
from sip_bridge.mqtt.contract import Topics
from sip_bridge.mqtt.outbox import Outbox
from sip_bridge.mqtt.session import InboundMessage, MQTTSession, MQTTSettings
from sip_bridge.phone.client import SIPClient
from sip_bridge.phone.doorbell import Doorbell
from sip_bridge.phone.events import PhoneEvent
from sip_bridge.phone.phone import VoIPPhone
from sip_bridge.phone.settings import LineSettings

_LOG = logging.getLogger(__name__)
_PACKAGE_LOG: Final = logging.getLogger("sip_bridge")
HEALTH_INTERVAL: Final = 60.0  # seconds
MAX_PROBLEMS: Final = 20  # of a wrong configuration that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a started bridge can be reached, for a person to read, and what its process has to do with."""

    sip_hosts: tuple[str, ...]
    sip_port: int  # of UDP and TCP
    sip_tls_port: int | None
    mqtt_host: str
    mqtt_port: int
    is_broker_embedded: bool
    reload: Callable[[], None]
    restart_wanted: asyncio.Event


class Bridge:
    """Joins phones and MQTT. ``async with running(config) as bridge`` starts and stops it."""

    def __init__(
        self,
        config: Config,
        client: SIPClient,
        *,
        read: Callable[[], Config] | None = None,
        on_reload: Callable[[Config], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._read = read
        self._on_reload = on_reload
        self._client = client
        self.topics = Topics(base=config.mqtt.base_topic, bridge=config.bridge.id)
        self.phones = {account.id: VoIPPhone(client, account, listener=self._tell) for account in config.accounts}
        self._leaving: set[VoIPPhone] = set()  # of removed accounts, until their last call is over
        self._inbox = Inbox(
            self.topics, Requests(self.phones, bridge=self, clock=time.time), client, publish=self._publish
        )
        self._reloading = asyncio.Lock()
        self._is_signaled = False
        self.restart_wanted = asyncio.Event()
        self._trace = Trace(self._publish_trace, clock=time.monotonic)
        self._session: MQTTSession | None = None
        self._publisher: Publisher | None = None
        self._journal = Journal()
        self._doorbell = Doorbell(self.phones)
        self.settings = SettingsStore(config.state_dir / f"settings-{config.bridge.id}.json")
        self._is_serving = False

    def session(self, settings: MQTTSettings) -> MQTTSession:
        """The MQTT session that this bridge speaks through."""
        offline = contract.encode(contract.BridgeState(state=contract.Availability.OFFLINE), time.time())
        self._session = MQTTSession(
            settings,
            will=(self.topics.of_bridge("state"), offline),
            filters=self.topics.requests,
            on_message=self._received,
            on_connect=self._publish_health,  # what was said before, nobody heard
            on_home_assistant_online=self._publish_health,
            outbox=Outbox(self._config.state_dir / f"mqtt-{self._config.bridge.id}.jsonl"),
        )
        self._publisher = Publisher(self._session, self.topics, clock=time.time)
        return self._session

    def start(self) -> None:
        """Publish what is known, serve every line, and say online."""
        self.settings.drop_others(self._config.accounts)
        for phone in self.phones.values():
            phone.use(self.settings.of(phone.account))
        self._show()
        for phone in self.phones.values():
            phone.start()
        self._is_serving = True
        online = contract.BridgeState(state=contract.Availability.ONLINE)
        self._publishing.show(self.topics.of_bridge("state"), online)
        self._mqtt.clear_former()

    def _show(self) -> None:
        config = self._config
        self._publishing.show_bridge(
            name=config.bridge.name, version=__version__, phones=self.phones, config=redacted(config)
        )
        self._publishing.show_discovery(self._discovery() if config.mqtt.discovery else {})

    def _discovery(self) -> Mapping[str, str]:
        config = self._config
        accounts = [translate.account_info(phone.account) for phone in self.phones.values()]
        return home_assistant.discovery(
            self.topics, accounts, name=config.bridge.name, version=__version__, prefix=config.mqtt.discovery_prefix
        )

    def stop(self) -> None:
        """Take no further request; hang up and deregister every phone."""
        self._is_serving = False
        for phone in self.phones.values():
            phone.stop()

    @property
    def _mqtt(self) -> MQTTSession:
        if self._session is None:
            raise RuntimeError("the bridge has no MQTT session yet")
        return self._session

    @property
    def _publishing(self) -> Publisher:
        if self._publisher is None:
            raise RuntimeError("the bridge has no MQTT session yet")
        return self._publisher

    def _tell(self, phone: VoIPPhone, event: PhoneEvent) -> None:
        self._journal.tell(phone, event)
        self._publishing.tell(phone, event)
        self._doorbell.tell(phone, event)
        if phone in self._leaving and not phone.is_in_use:
            self._has_left(phone)

    def health(self) -> contract.Health:
        """Figures for ``B/health``."""
        phones = self.phones.values()
        return contract.Health(
            uptime_seconds=round(time.time() - self._publishing.started_at, 3),
            accounts=len(phones),
            registered=sum(
                translate.registration_state(phone.account, phone.registration) is contract.RegistrationState.REGISTERED
                for phone in phones
            ),
            calls=sum(len(phone.calls) for phone in phones),
            mqtt_queued=self._mqtt.queued,
            counters=self._counters(),
        )

    def _counters(self) -> dict[str, int]:
        """Each of them from the start on, though it be 0, so that nobody's graph has gaps."""
        own = {
            "dropped_events": self._mqtt.dropped,
            "refused_messages": self._mqtt.refused,
            "dropped_requests": self._inbox.dropped,
            "untraced_messages": self._trace.dropped,
        }
        return dict(sorted((dict.fromkeys(COUNTERS, 0) | dict(self._client.endpoint.counters) | own).items()))

    def show_messages(self, seconds: float) -> None:
        """Publish every SIP message for so long from now on; 0 ends it."""
        self._trace.run(seconds)
        self._client.on_wire = self._trace.observe if seconds > 0 else None

    def _publish_trace(self, payload: str) -> None:
        self._publish(self.topics.of_bridge("trace"), payload, qos=0)

    async def report_health(self) -> None:
        """Publish the health again and again; the first time was on the connect."""
        while True:
            await asyncio.sleep(HEALTH_INTERVAL)
            self._publish_health()

    def _publish_health(self) -> None:
        self._publish(self.topics.of_bridge("health"), contract.encode(self.health(), time.time()), qos=0)

    # --- another configuration ---

    def reload_by_signal(self) -> None:
        """Reload as soon as may be; signals that come before that are one."""
        if not self._is_signaled:
            self._is_signaled = True
            self._client.start_task(self._reload_as_signaled(), name="reload")

    async def _reload_as_signaled(self) -> None:
        with contextlib.suppress(ConfigError, InvalidStateError):  # it was logged, or the bridge stops
            await self.reload()

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again, apply what changed, and say what that was.

        ConfigError when it is wrong, and then nothing changes; InvalidStateError when there is no file, or no bridge
        any more.
        """
        async with self._reloading:
            self._is_signaled = False
            try:
                config = await self._read_again()
            except ConfigError as error:
                _LOG.error("the configuration is wrong, so all stays as it is: %s", error)
                raise
            news = changes(self._config, config)
            self._apply(news, in_effect(self._config, config))
            _LOG.info("read the configuration again: %s", news)
            return news.as_data()

    async def _read_again(self) -> Config:
        if self._read is None:
            raise InvalidStateError("this bridge was started without a configuration file")
        try:
            config = await asyncio.to_thread(self._read)
        except ConfigError as error:
            raise ConfigError(_shortened(str(error))) from None  # the cause may show values
        if not self._is_serving:
            raise InvalidStateError("the bridge is stopping")
        return config

    def _apply(self, news: Changes, config: Config) -> None:
        former, self._config = self._config, config
        self._on_reload(config)
        self.settings.drop_others(config.accounts)
        self._client.media = config.media
        if config.recording != former.recording:
            self._client.recorder.change(config.recording)
        if config.log_level != former.log_level:
            self.change_log_level(config.log_level)
        for account in news.removed:
            self._remove(account)
        for each in config.accounts:
            if each.id in news.changed:
                self.phones[each.id].change(each, self.settings.of(each))
        added = [
            VoIPPhone(self._client, each, listener=self._tell) for each in config.accounts if each.id in news.added
        ]
        phones = self.phones | {phone.account.id: phone for phone in added}
        self.phones.clear()
        self.phones.update({each.id: phones[each.id] for each in config.accounts})
        self._show()
        for phone in added:
            phone.start()
        self._client.endpoint.order_lines(tuple(self.phones))

    def _remove(self, account: str) -> None:
        phone = self.phones.pop(account)
        self._leaving.add(phone)
        phone.leave()
        if phone in self._leaving and not phone.is_in_use:
            self._has_left(phone)

    def _has_left(self, phone: VoIPPhone) -> None:
        self._leaving.remove(phone)
        account = phone.account.id
        if account in self.phones:  # another one of this id came meanwhile
            self._publishing.show_calls(self.phones[account])
        else:
            self._publishing.forget(account)
            self._journal.forget(account)

    def change_log_level(self, level: str) -> None:
        """Log so much until the next start, or until a reload finds another level."""
        _PACKAGE_LOG.setLevel(level.upper())

    async def restart(self) -> None:
        """Have whoever runs the bridge begin anew, unless that would fail; errors as `reload`."""
        await self._read_again()
        _LOG.info("a restart was asked for")
        self.restart_wanted.set()

    async def change_settings(self, phone: VoIPPhone, settings: LineSettings) -> None:
        """Have a phone go by these from now on, and show them; returns when they are kept, or can't be."""
        phone.use(settings)
        self._publishing.show_settings(phone)
        self.settings.keep(phone.account, settings)
        await self.settings.written()

    def _received(self, message: InboundMessage) -> None:
        if self._is_serving:
            self._inbox.receive(message)

    def _publish(self, topic: str, payload: str, *, qos: int = 1, correlation_data: bytes | None = None) -> None:
        self._mqtt.publish(topic, payload, qos=qos, correlation_data=correlation_data)


@asynccontextmanager
async def running(
    config: Config, *, read: Callable[[], Config] | None = None, on_reload: Callable[[Config], None] = lambda _: None
) -> AsyncIterator[Running]:
    """The bridge, from the first socket to the last goodbye.

    ``read`` reads its configuration again, in a thread; ``on_reload`` is told of one that comes into effect.

    Raises TransportError or BrokerError when an address is taken. On leaving it hangs up, deregisters, says offline
    and closes, each within bounded time.
    """
    async with AsyncExitStack() as stack:
        mqtt = config.mqtt
        broker = None
        if isinstance(mqtt, EmbeddedMQTT):
            broker = await stack.enter_async_context(EmbeddedBroker(broker_settings(mqtt)))
        client = SIPClient(config.sip, media=config.media, recording=config.recording)
        bridge = Bridge(config, client, read=read, on_reload=on_reload)
        settings = mqtt_settings(config, port=broker.port if broker else mqtt.port)
        session = bridge.session(settings)
        await stack.enter_async_context(session)
        handler = MQTTLogHandler(session, bridge.topics.of_bridge("logging"))
        _PACKAGE_LOG.addHandler(handler)
        stack.callback(_PACKAGE_LOG.removeHandler, handler)
        stack.callback(_PACKAGE_LOG.setLevel, _PACKAGE_LOG.level)
        await stack.enter_async_context(bridge.settings)
        await stack.enter_async_context(client)
        stack.callback(bridge.stop)
        bridge.start()
        health = client.start_task(bridge.report_health(), name="health")
        stack.callback(health.cancel)
        yield Running(
            sip_hosts=client.transports.hosts,
            sip_port=client.port,
            sip_tls_port=client.transports.tls_port,
            mqtt_host=settings.host,
            mqtt_port=settings.port,
            is_broker_embedded=broker is not None,
            reload=bridge.reload_by_signal,
            restart_wanted=bridge.restart_wanted,
        )


def _shortened(problems: str) -> str:
    """As many problems as a person mends at once."""
    lines = problems.splitlines()
    more = len(lines) - MAX_PROBLEMS
    return "\n".join([*lines[:MAX_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])
