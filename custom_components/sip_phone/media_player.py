"""A line as a speaker: what is played on it is heard by whom it talks to, or by the contact, whom it calls for that."""

from __future__ import annotations

from typing import Any, Final

from homeassistant.components import media_source
from homeassistant.components.media_player import (
    ATTR_MEDIA_ENQUEUE,
    BrowseMedia,
    MediaPlayerDeviceClass,
    MediaPlayerEnqueue,
    MediaPlayerEntity,
    MediaPlayerEntityFeature,
    MediaPlayerState,
    MediaType,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .contract import Mute, Set, StopPlayback, Unmute
from .coordinator import SipPhoneConfigEntry, SipPhoneCoordinator
from .entity import LineEntity, async_add_lines
from .sound import async_sound_url
from .speaking import async_play

PARALLEL_UPDATES = 0  # to stop must not wait for what is being fetched

_ALWAYS: Final = (
    MediaPlayerEntityFeature.BROWSE_MEDIA
    | MediaPlayerEntityFeature.MEDIA_ANNOUNCE
    | MediaPlayerEntityFeature.MEDIA_ENQUEUE
    | MediaPlayerEntityFeature.PLAY_MEDIA
    | MediaPlayerEntityFeature.STOP
)
_VOLUME: Final = MediaPlayerEntityFeature.VOLUME_SET | MediaPlayerEntityFeature.VOLUME_STEP
_AFTER_OTHERS: Final = frozenset({MediaPlayerEnqueue.ADD, MediaPlayerEnqueue.NEXT})


async def async_setup_entry(
    hass: HomeAssistant, entry: SipPhoneConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a media player to each line."""
    async_add_lines(entry, async_add_entities, lambda coordinator, account: [LinePlayer(coordinator, account)])


class LinePlayer(LineEntity, MediaPlayerEntity):
    """Idle without a call, on in one, playing while it plays something."""

    _attr_name = None
    _attr_device_class = MediaPlayerDeviceClass.SPEAKER
    _attr_media_content_type = MediaType.MUSIC

    def __init__(self, coordinator: SipPhoneCoordinator, account: str) -> None:
        super().__init__(coordinator, account, "player")

    @property
    def state(self) -> MediaPlayerState:
        """What it does."""
        if any(call.playing for call in self.line.calls):
            return MediaPlayerState.PLAYING
        return MediaPlayerState.IDLE if self.line.talking_call is None else MediaPlayerState.ON

    @property
    def supported_features(self) -> MediaPlayerEntityFeature:
        """What can be done now."""
        features = _ALWAYS
        if self.line.settings is not None:
            features |= _VOLUME
        if self.line.talking_call is not None:
            features |= MediaPlayerEntityFeature.VOLUME_MUTE
        return features

    @property
    def volume_level(self) -> float | None:
        """The line's volume; the number beside it goes to twice as loud."""
        return None if self.line.settings is None else min(1.0, self.line.settings.output_volume)

    @property
    def is_volume_muted(self) -> bool | None:
        """Whether the other party hears nothing."""
        call = self.line.talking_call
        return None if call is None else call.muted

    async def async_play_media(
        self,
        media_type: MediaType | str,  # noqa: ARG002  # Home Assistant fixes the signature
        media_id: str,
        **kwargs: Any,
    ) -> None:
        """Play into the call; without one, call the contact, play and hang up."""
        source = await async_sound_url(self.hass, media_id, self.entity_id)
        enqueue = kwargs.get(ATTR_MEDIA_ENQUEUE) in _AFTER_OTHERS
        await async_play(self.coordinator, self.account, source, enqueue=enqueue)

    async def async_media_stop(self) -> None:
        """Stop what plays; the call goes on."""
        playing = next((call for call in self.line.calls if call.playing), None)
        if playing is not None:
            await self.async_request(StopPlayback(call_id=playing.call_id))

    async def async_set_volume_level(self, volume: float) -> None:
        """Change the line's volume."""
        await self.async_request(Set(output_volume=volume))

    async def async_mute_volume(self, mute: bool) -> None:
        """Let the other party hear nothing, or again."""
        call = self.line.talking_call
        call_id = None if call is None else call.call_id
        await self.async_request(Mute(call_id=call_id) if mute else Unmute(call_id=call_id))

    async def async_browse_media(
        self,
        media_content_type: MediaType | str | None = None,  # noqa: ARG002  # Home Assistant fixes the signature
        media_content_id: str | None = None,
    ) -> BrowseMedia:
        """What Home Assistant has to be heard."""
        return await media_source.async_browse_media(
            self.hass, media_content_id, content_filter=lambda item: item.media_content_type.startswith("audio/")
        )
