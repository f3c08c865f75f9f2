"""`python engine_wire.py PORT`: the way to an engine on another machine, a TCP port that leads to its socket.

It is a process of its own, so that to kill it is to cut the way.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

SOCKET = "/var/run/docker.sock"


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, to_there = await asyncio.open_unix_connection(SOCKET)
    await asyncio.gather(pour(reader, to_there), pour(there, writer))
    for one in (writer, to_there):
        one.close()


async def main() -> None:
    server = await asyncio.start_server(connected, "127.0.0.1", int(sys.argv[1]), reuse_address=True)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
