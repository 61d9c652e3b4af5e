"""What coredis promises its users, asked of Winter: coredis_client.py PORT"""

import sys

import anyio
import coredis
from coredis.exceptions import ResponseError


async def main(port):
    client = coredis.Redis(host="127.0.0.1", port=port, client_name="of-coredis")

    async def run(command, *words):
        return await client.create_request(command, *words, callback=lambda reply: reply)

    async with client:
        assert await client.ping() == b"PONG"
        assert await client.client_getname() == b"of-coredis"
        assert await run(b"CREATE", "t") == b"created"
        assert await run(b"PUTNEW", "t", b"\x00\xff", b"a\r\nb\xfe") == b"ok"
        assert await run(b"GET", "t", b"\x00\xff") == b"a\r\nb\xfe"
        assert await run(b"GET", "t", "nothing") is None
        word, version = await run(b"ADD", "t", "k", "v", b"EXPIRE", 3_600_000)
        assert word == b"added"
        assert list(await run(b"GETS", "t", "k")) == [version, b"v"]
        assert 3_500_000 < await run(b"TTL", "t", "k") <= 3_600_000
        assert (await run(b"DESCRIBE", "t"))[b"entries"] == b"2"
        try:
            await run(b"GET", "missing", "k")
            raise AssertionError("no error for a missing table")
        except ResponseError as error:
            assert "missing table" in str(error), error


anyio.run(main, int(sys.argv[1]))
