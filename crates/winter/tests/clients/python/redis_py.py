"""What redis-py and its kin promise their users, asked of Winter.

    redis_py.py MODULE PORT PROTOCOL

MODULE is redis or valkey, PROTOCOL 2 or 3. Ends with 0 and says nothing if all is well.
"""

import asyncio
import importlib
import sys
import threading

name, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
library = importlib.import_module(name)
aio = importlib.import_module(name + ".asyncio")
Client = library.Redis
ResponseError = library.exceptions.ResponseError

BINARY_KEY = b"\x00\r\n\xff key"
BINARY_VALUE = bytes(range(256)) * 300


def client(**options):
    return Client(host="127.0.0.1", port=port, protocol=protocol, socket_timeout=20, **options)


def fails(client, *words):
    try:
        client.execute_command(*words)
    except ResponseError as error:
        return error
    raise AssertionError(f"{words} did not fail")


def commands(r):
    table = f"{name}-{protocol}"
    run = r.execute_command
    assert run("CREATE", table) == b"created"
    assert run("CREATE", table) == b"already created"
    assert run("PUTNEW", table, "k", "one") == b"ok"
    assert run("PUTNEW", table, "k", "two") == b"ok"
    assert run("GET", table, "k") == b"one"
    assert run("GET", table, "nothing") is None
    assert run("GETS", table, "nothing") is None
    word, version = run("ADD", table, "k", "three")
    assert (word, type(version)) == (b"exists", int)
    assert run("GETS", table, "k") == [version, b"one"]
    word, newer = run("CAS", table, "k", version, "four", "EXPIRE", 3_600_000)
    assert word == b"ok" and newer > version
    assert 3_500_000 < run("TTL", table, "k") <= 3_600_000
    assert run("TOUCH", table, "k", 0) == b"ok"
    assert run("TTL", table, "k") == b"never"
    assert run("CAS", table, "k", version, "five") == [b"conflict", newer]
    assert run("DELETE", table, "k", version) == [b"conflict", newer]
    assert run("DELETE", table, "k", newer) == b"ok"
    assert run("PUT", table, BINARY_KEY, BINARY_VALUE)[0] == b"ok"
    assert run("GET", table, BINARY_KEY) == BINARY_VALUE
    assert run("PUT", table, "empty", b"")[0] == b"ok"
    assert run("GET", table, "empty") == b""
    assert run("COUNT", table) == 2
    cursor, keys = run("SCAN", table, 0)
    assert cursor == 0 and sorted(keys) == sorted([BINARY_KEY, b"empty"])
    assert table.encode() in run("TABLES")
    described = run("DESCRIBE", table)
    if not isinstance(described, dict):
        described = dict(zip(described[::2], described[1::2]))
    assert described[b"entries"] == b"2"
    assert run("DROP", table) == b"dropped"


def errors(r):
    error = fails(r, "GET", "missing", "k")
    assert str(error) == "MISSINGTABLE missing table", error
    error = fails(r, "NONSENSE", "a")
    # The library takes the ERR off.
    assert str(error).startswith("unknown command 'NONSENSE'"), error
    assert r.execute_command("CREATE", "once", "ONCE", "yes") in (b"created", b"already created")
    assert str(fails(r, "PUT", "once", "k", "v")).startswith("REFUSED ")
    assert str(fails(r, "GET", "once")).startswith("wrong number of arguments for 'get' command")
    denied = fails(r, "AUTH", "secret")
    assert isinstance(denied, library.exceptions.NoPermissionError), type(denied)


def pipelines(r):
    r.execute_command("CREATE", "pipes")
    pipe = r.pipeline(transaction=False)
    for n in range(1_000):
        pipe.execute_command("PUTNEW", "pipes", f"k{n}", f"v{n}")
        pipe.execute_command("GET", "pipes", f"k{n}")
    pipe.execute_command("GET", "missing", "k")
    pipe.execute_command("GET", "pipes", "nothing")
    replies = pipe.execute(raise_on_error=False)
    assert replies[:-2:2] == [b"ok"] * 1_000
    assert replies[1:-2:2] == [f"v{n}".encode() for n in range(1_000)]
    assert isinstance(replies[-2], ResponseError)
    assert replies[-1] is None


def what_libraries_ask(r):
    assert r.ping() is True
    assert r.echo("a\r\nb") == b"a\r\nb"
    assert r.client_getname() in ("of-python", b"of-python")
    assert r.client_setname("renamed")
    assert r.client_getname() in ("renamed", b"renamed")
    assert r.client_id() > 0
    mine = r.client_info()
    assert mine["name"] == "renamed" and mine["resp"] == str(protocol), mine
    assert mine["lib-name"].startswith(name), mine
    assert any(client["name"] == "renamed" for client in r.client_list())
    info = r.info()
    assert info["role"] == "master" and info["redis_version"], info
    assert r.info("replication")["connected_slaves"] == 0
    assert r.config_get("save") in ({"save": ""}, {b"save": b""})
    assert r.command_count() > 20
    assert "get" in r.command()
    docs = r.execute_command("COMMAND DOCS", "get")
    assert docs, docs


def connections(r):
    # A connection that was lost is made again, with its name.
    r.connection_pool.disconnect()
    assert r.ping() is True
    assert r.client_getname() in ("of-python", b"of-python")
    assert r.execute_command("QUIT") in (b"OK", True)
    assert r.ping() is True
    with client(db=0, decode_responses=True) as texts:
        texts.execute_command("CREATE", "texts")
        assert texts.execute_command("PUTNEW", "texts", "ключ", "знач") == "ok"
        assert texts.execute_command("GET", "texts", "ключ") == "знач"
    url = f"redis://127.0.0.1:{port}/0?protocol={protocol}"
    with Client.from_url(url) as from_url:
        assert from_url.ping() is True


def threads(r):
    r.execute_command("CREATE", "threads")
    won = []

    def add(n):
        word, _ = r.execute_command("ADD", "threads", "k", str(n))
        if word == b"added":
            won.append(str(n).encode())

    workers = [threading.Thread(target=add, args=(n,)) for n in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(won) == 1 and r.execute_command("GET", "threads", "k") == won[0], won


async def asynchronous():
    r = aio.Redis(host="127.0.0.1", port=port, protocol=protocol, client_name="of-asyncio")
    await r.execute_command("CREATE", "async")
    puts = (r.execute_command("PUTNEW", "async", f"k{n}", f"v{n}") for n in range(50))
    assert await asyncio.gather(*puts) == [b"ok"] * 50
    assert await r.execute_command("GET", "async", "k7") == b"v7"
    assert await r.execute_command("GET", "async", "nothing") is None
    assert await r.client_getname() in ("of-asyncio", b"of-asyncio")
    await r.aclose()


with client(client_name="of-python") as r:
    for part in (commands, errors, pipelines, what_libraries_ask):
        part(r)
with client(client_name="of-python") as r:
    connections(r)
    threads(r)
asyncio.run(asynchronous())
