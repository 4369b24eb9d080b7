"""What the bridge is told to play: a URL that it can fetch, from what Home Assistant calls media or from a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from homeassistant.components import media_source
from homeassistant.components.media_player import async_process_play_media_url
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from yarl import URL

from .const import DOMAIN

_FORMAT: Final = {"preferred_format": "wav"}  # the one that every bridge can play, whatever else is installed with it
_CLOUD: Final = "tts.home_assistant_cloud"


async def async_sound_url(hass: HomeAssistant, media_id: str, player: str | None) -> str:
    """An absolute URL for a media source's id, or for a path of Home Assistant's; else ``media_id`` as it is."""
    if media_source.is_media_source_id(media_id):
        media = await media_source.async_resolve_media(hass, _as_wav(media_id), player)
        media_id = media.url
    return async_process_play_media_url(hass, media_id)


async def async_speech_url(
    hass: HomeAssistant,
    message: str,
    *,
    engine: str | None = None,
    language: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """An absolute URL of a spoken text; without an ``engine``, Home Assistant's first one speaks."""
    engine = engine or _default_engine(hass)
    if engine is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_speech_engine")
    query = {"message": message, "tts_options": json.dumps({**_FORMAT, **(options or {})})}
    if language is not None:
        query["language"] = language
    source = URL.build(scheme="media-source", host="tts", path=f"/{engine}", query=query)
    return await async_sound_url(hass, str(source), None)


def _default_engine(hass: HomeAssistant) -> str | None:
    engines = hass.states.async_entity_ids("tts")
    return _CLOUD if _CLOUD in engines else next(iter(sorted(engines)), None)


def _as_wav(media_id: str) -> str:
    """The same speech, in a format that the bridge can play."""
    url = URL(media_id)
    if url.host != "tts" or "message" not in url.query:
        return media_id
    if "tts_options" not in url.query:
        return str(url.update_query({**_FORMAT, **url.query}))
    try:
        options = json.loads(url.query["tts_options"]) or {}
    except ValueError:  # whoever resolves it says so
        return media_id
    return str(url.update_query(tts_options=json.dumps({**_FORMAT, **options})))
