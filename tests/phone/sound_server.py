"""An HTTP server on loopback that answers as well, or as badly, as a test wants it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_BLOCK = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked, and the way back to it."""

    head: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Answer = Callable[[Request], Awaitable[None]]


@dataclass(kw_only=True)
class SoundServer:
    """``heads`` of all requests; ``open`` are the connections that are served."""

    port: int
    scheme: str
    heads: list[str] = field(default_factory=list)
    open: int = 0

    def url(self, path: str, *, userinfo: str = "", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{userinfo}{host}:{self.port}{path}"


@asynccontextmanager
async def serving(answers: Mapping[str, Answer], *, tls: ssl.SSLContext | None = None) -> AsyncIterator[SoundServer]:
    """Answers by path, without its query."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            made.heads.append(head)
            await answers[head.split()[1].partition("?")[0]](Request(head=head, reader=reader, writer=writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            made.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    made = SoundServer(port=server.sockets[0].getsockname()[1], scheme="https" if tls else "http")
    async with server:
        yield made


def head(status: str = "200 OK", **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def body(data: bytes, content_type: str = "application/octet-stream", *, status: str = "200 OK") -> Answer:
    async def answer(request: Request) -> None:
        await request.send(head(status, Content_Type=content_type, Content_Length=len(data)) + data)

    return answer


def ranged(data: bytes) -> Answer:
    """From a server that gives parts, too."""

    async def answer(request: Request) -> None:
        begin = int(request.head.partition("Range: bytes=")[2].partition("-")[0] or 0)
        status = "206 Partial Content" if begin else "200 OK"
        await request.send(head(status, Content_Length=len(data) - begin, Accept_Ranges="bytes") + data[begin:])

    return answer


def chunked(data: bytes, size: int = 1000, *, end: bytes = b"0\r\n\r\n") -> Answer:
    async def answer(request: Request) -> None:
        await request.send(head(Transfer_Encoding="chunked"))
        for at in range(0, len(data), size):
            part = data[at : at + size]
            await request.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await request.send(end)

    return answer


def cut(data: bytes, *, claimed: int) -> Answer:
    """Less than the server said that it would be."""

    async def answer(request: Request) -> None:
        await request.send(head(Content_Length=claimed) + data)

    return answer


def redirect(location: str, status: str = "302 Found") -> Answer:
    async def answer(request: Request) -> None:
        await request.send(head(status, Location=location, Content_Length=0))

    return answer


def endless(begin: bytes = b"", *, taken: list[int] | None = None) -> Answer:
    """As much as the client takes; how much that is, in bytes, is counted in ``taken``."""

    async def answer(request: Request) -> None:
        await request.send(head() + begin)
        while True:
            await request.send(bytes(_BLOCK))
            if taken is not None:
                taken[0] += _BLOCK

    return answer


def silent(first: bytes = b"") -> Answer:
    """Says ``first``, then nothing, until the client hangs up."""

    async def answer(request: Request) -> None:
        await request.send(first)
        await request.reader.read()

    return answer


def slow(first: bytes, begin: asyncio.Event, rest: bytes) -> Answer:
    """The rest only once it may ``begin``, or the client has hung up."""

    async def answer(request: Request) -> None:
        await request.send(first)
        waiting = [asyncio.create_task(each) for each in (begin.wait(), request.reader.read())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        await request.send(rest)

    return answer
