"""An upstream process for bodies of any size, made on the fly and only counted: `python -m tests.support.bulk`.

`GET /SIZE` answers with that many bytes, anything else with how many bytes came. Prints its port.
"""

import asyncio

import uvloop

_BLOCK = bytes(256 * 1024)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            request_line, _, fields = head.lower().partition(b"\r\n")
            method, target, _ = request_line.split(b" ")
            if method == b"get":
                left = int(target[1:])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
                while left:
                    piece = _BLOCK[:left]
                    writer.write(piece)
                    await writer.drain()
                    left -= len(piece)
                continue
            left = int(fields.partition(b"content-length:")[2].partition(b"\r\n")[0])
            count = 0
            while left:
                piece = await reader.read(min(left, len(_BLOCK)))
                if not piece:
                    return
                left -= len(piece)
                count += len(piece)
            text = b"%d" % count
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=len(_BLOCK))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
