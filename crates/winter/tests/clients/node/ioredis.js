// What ioredis and its kin promise their users, asked of Winter.
//
//   node ioredis.js PACKAGE PORT
//
// Ends with 0 and says nothing if all is well.
'use strict';
const assert = require('node:assert/strict');

const [name, port] = process.argv.slice(2);
const Redis = require(name);

// A reply with its strings as buffers.
function inBuffers(redis, ...[command, ...words]) {
  return redis.sendCommand(new Redis.Command(command, words, { replyEncoding: null }));
}

async function commands(redis) {
  const table = `table-${name}`;
  const run = (...words) => redis.call(...words);
  assert.equal(await run('CREATE', table), 'created');
  assert.equal(await run('create', table), 'already created');
  assert.equal(await run('PUTNEW', table, 'k', 'one'), 'ok');
  assert.equal(await run('GET', table, 'k'), 'one');
  assert.equal(await run('GET', table, 'nothing'), null);
  const [word, version] = await run('ADD', table, 'k', 'two');
  assert.equal(word, 'exists');
  // Versions are exact in this language's numbers.
  assert.ok(Number.isSafeInteger(version));
  assert.deepEqual(await run('GETS', table, 'k'), [version, 'one']);
  const [ok, newer] = await run('CAS', table, 'k', version, 'two', 'EXPIRE', 3600000);
  assert.equal(ok, 'ok');
  assert.ok(newer > version);
  const left = await run('TTL', table, 'k');
  assert.ok(left > 3500000 && left <= 3600000, `${left}`);
  assert.deepEqual(await run('DELETE', table, 'k', version), ['conflict', newer]);
  assert.equal(await run('DELETE', table, 'k', newer), 'ok');
  const key = Buffer.from([0, 13, 10, 255, 32]);
  const value = Buffer.from(Array.from({ length: 70000 }, (_, n) => n % 256));
  assert.equal((await run('PUT', table, key, value))[0], 'ok');
  assert.ok((await inBuffers(redis, 'GET', table, key)).equals(value));
  const [cursor, keys] = await inBuffers(redis, 'SCAN', table, 0);
  assert.equal(cursor.toString(), '0');
  assert.ok(keys.length === 1 && keys[0].equals(key));
  assert.equal(await run('COUNT', table), 1);
  assert.equal(await run('DROP', table), 'dropped');
}

async function errors(redis) {
  await assert.rejects(redis.call('GET', 'missing', 'k'), {
    name: 'ReplyError',
    message: 'MISSINGTABLE missing table',
  });
  await assert.rejects(redis.call('NONSENSE', 'a'), /^ReplyError: ERR unknown command 'NONSENSE'/);
  await assert.rejects(redis.call('GET'), /^ReplyError: ERR wrong number of arguments for 'get'/);
}

async function pipelines(redis) {
  await redis.call('CREATE', 'pipes');
  const pipeline = redis.pipeline();
  for (let n = 0; n < 1000; n += 1) pipeline.call('PUTNEW', 'pipes', `k${n}`, `v${n}`);
  pipeline.call('GET', 'missing', 'k');
  pipeline.call('GET', 'pipes', 'k999');
  const replies = await pipeline.exec();
  assert.ok(replies.slice(0, 1000).every(([error, reply]) => error === null && reply === 'ok'));
  assert.equal(replies[1000][0].message, 'MISSINGTABLE missing table');
  assert.deepEqual(replies[1001], [null, 'v999']);
  // As many at once as the library cares to write together.
  const gets = Array.from({ length: 1000 }, (_, n) => redis.call('GET', 'pipes', `k${n}`));
  assert.deepEqual(await Promise.all(gets), Array.from({ length: 1000 }, (_, n) => `v${n}`));
}

async function whatLibrariesAsk(redis) {
  assert.equal(await redis.ping(), 'PONG');
  assert.equal(await redis.echo('a\r\nb'), 'a\r\nb');
  assert.equal(await redis.client('GETNAME'), 'of-ioredis');
  assert.ok((await redis.client('ID')) > 0);
  assert.match(await redis.client('LIST'), / name=of-ioredis /);
  assert.match(await redis.info(), /^redis_version:7/m);
  assert.ok((await redis.call('COMMAND', 'COUNT')) > 20);
}

// A library that connects, says something and leaves again.
function connect(options) {
  const redis = new Redis({
    host: '127.0.0.1',
    port: Number(port),
    connectionName: 'of-ioredis',
    lazyConnect: true,
    ...options,
  });
  const troubles = [];
  redis.on('error', (error) => troubles.push(error));
  return { redis, troubles };
}

async function reconnects(redis) {
  const ready = new Promise((resolve) => redis.once('ready', resolve));
  redis.disconnect(true);
  await ready;
  assert.equal(await redis.client('GETNAME'), 'of-ioredis');
}

async function main() {
  for (const options of [{}, { db: 0, enableAutoPipelining: true }]) {
    const { redis, troubles } = connect(options);
    await redis.connect();
    for (const part of [commands, errors, pipelines, whatLibrariesAsk, reconnects]) await part(redis);
    assert.equal(await redis.quit(), 'OK');
    assert.deepEqual(troubles, []);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
