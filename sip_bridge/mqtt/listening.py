"""Servers of asyncio."""

import asyncio
from typing import Final

_TURNS: Final = 5  # of the loop: an accepted connection takes three to `connection_made`, and a task of it one more


async def stop_listening(server: asyncio.Server) -> None:
    """Accept nobody any more, and hand what was accepted just now to its protocol, which is to close it.

    `asyncio.Server.close` alone makes asyncio drop such a connection, with its socket open.
    """
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        loop.remove_reader(sock.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    server.close()
