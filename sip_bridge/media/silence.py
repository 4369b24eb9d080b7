"""Whether the peer's sound still comes: its packets, whatever is in them."""

from sip_bridge.media.codec import FRAME_MS


class SilenceWatch:
    """Counts the frames in which nothing came. After ``timeout`` seconds of them the sound is lost; 0: it never is."""

    def __init__(self, timeout: float) -> None:
        self._limit = round(1000 * timeout / FRAME_MS)
        self._silent = 0
        self._is_lost = False

    @property
    def silent_seconds(self) -> float:
        """For how long nothing has come."""
        return self._silent * FRAME_MS / 1000

    def tick(self, frames: int, *, expects: bool) -> bool:
        """So many frames went by. Whether the sound is lost now, which is told once.

        ``expects`` is False while nothing has to come: on hold. Then time does not count.
        """
        if not expects:
            self._silent = 0
            return False
        self._silent += frames
        if self._is_lost or not 0 < self._limit <= self._silent:
            return False
        self._is_lost = True
        return True

    def heard(self) -> bool:
        """A packet came. Whether the sound had been lost."""
        was_lost, self._is_lost, self._silent = self._is_lost, False, 0
        return was_lost
