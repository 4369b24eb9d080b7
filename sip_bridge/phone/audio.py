"""The audio port of a call: sources give PCM frames to send, sinks take what was received.

A frame is 20 ms of signed 16-bit little-endian mono PCM. Its rate is that of the call's codec, and another one may be
agreed on at any time.
"""

from typing import Protocol


class AudioSource(Protocol):
    """Where a call's outgoing sound comes from."""

    def read(self, rate: int) -> bytes | None:
        """The next frame at that many samples a second, None when there is no more."""


class AudioSink(Protocol):
    """Where a call's incoming sound goes."""

    def write(self, frame: bytes, rate: int) -> None:
        """The next frame, in the order of arrival, at that many samples a second."""


class AudioTap(Protocol):
    """Follows both sides of a call: ``heard`` and ``said`` get a frame at most, then it is told that time went by."""

    @property
    def heard(self) -> AudioSink:
        """Takes the peer's sound."""

    @property
    def said(self) -> AudioSink:
        """Takes ours."""

    def tick(self, frames: int) -> None:
        """That many times 20 ms went by."""
