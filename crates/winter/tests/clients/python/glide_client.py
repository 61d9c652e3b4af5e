"""What valkey-glide promises its users, asked of Winter.

    glide_client.py PORT PROTOCOL
"""

import asyncio
import sys

from glide import (
    GlideClient,
    GlideClientConfiguration,
    Logger,
    LogLevel,
    NodeAddress,
    ProtocolVersion,
    RequestError,
)

port, protocol = int(sys.argv[1]), sys.argv[2]


async def main():
    Logger.set_logger_config(LogLevel.WARN)
    version = ProtocolVersion.RESP3 if protocol == "3" else ProtocolVersion.RESP2
    configuration = GlideClientConfiguration(
        [NodeAddress("127.0.0.1", port)],
        protocol=version,
        client_name="of-glide",
        request_timeout=20_000,
    )
    client = await GlideClient.create(configuration)
    run = client.custom_command
    assert await client.ping() == b"PONG"
    assert await client.client_getname() == b"of-glide"
    assert await run(["CREATE", "glide"]) == b"created"
    assert await run(["PUTNEW", "glide", b"\x00\xff", b"a\r\nb\xfe"]) == b"ok"
    assert await run(["GET", "glide", b"\x00\xff"]) == b"a\r\nb\xfe"
    assert await run(["GET", "glide", "nothing"]) is None
    word, added = await run(["ADD", "glide", "k", "v", "EXPIRE", "3600000"])
    assert word == b"added"
    assert await run(["GETS", "glide", "k"]) == [added, b"v"]
    assert 3_500_000 < await run(["TTL", "glide", "k"]) <= 3_600_000
    puts = [run(["PUTNEW", "glide", f"k{n}", str(n)]) for n in range(200)]
    assert await asyncio.gather(*puts) == [b"ok"] * 200
    try:
        await run(["GET", "missing", "k"])
        raise AssertionError("no error for a missing table")
    except RequestError as error:
        assert "missing table" in str(error), error
    await client.close()


asyncio.run(main())
