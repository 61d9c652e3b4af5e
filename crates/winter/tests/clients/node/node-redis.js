// What node-redis promises its users, asked of Winter.
//
//   node node-redis.js PACKAGE PORT [RESP]
//
// RESP is 2 or 3; without it the library chooses. Ends with 0 and says nothing if all is well.
'use strict';
const assert = require('node:assert/strict');

const [name, port, resp] = process.argv.slice(2);
const library = require(name);

// A reply with its strings as buffers; the fourth version has another word for it.
function inBuffers(client, words) {
  if (!library.RESP_TYPES) return client.sendCommand(words, { returnBuffers: true });
  const typeMapping = { [library.RESP_TYPES.BLOB_STRING]: Buffer };
  return client.sendCommand(words, { typeMapping });
}

async function commands(client) {
  const table = `table-${name}-${resp}`;
  const run = (...words) => client.sendCommand(words);
  assert.equal(await run('CREATE', table), 'created');
  assert.equal(await run('create', table), 'already created');
  assert.equal(await run('PUTNEW', table, 'k', 'one'), 'ok');
  assert.equal(await run('GET', table, 'k'), 'one');
  assert.equal(await run('GET', table, 'nothing'), null);
  assert.equal(await run('GETS', table, 'nothing'), null);
  const [word, version] = await run('ADD', table, 'k', 'two');
  assert.equal(word, 'exists');
  assert.ok(Number.isSafeInteger(version));
  assert.deepEqual(await run('GETS', table, 'k'), [version, 'one']);
  const [ok, newer] = await run('CAS', table, 'k', `${version}`, 'two', 'EXPIRE', '3600000');
  assert.equal(ok, 'ok');
  assert.ok(newer > version);
  const left = await run('TTL', table, 'k');
  assert.ok(left > 3500000 && left <= 3600000, `${left}`);
  assert.deepEqual(await run('DELETE', table, 'k', `${version}`), ['conflict', newer]);
  assert.equal(await run('DELETE', table, 'k', `${newer}`), 'ok');
  const key = Buffer.from([0, 13, 10, 255, 32]);
  const value = Buffer.from(Array.from({ length: 70000 }, (_, n) => n % 256));
  assert.equal((await run('PUT', table, key, value))[0], 'ok');
  assert.ok((await inBuffers(client, ['GET', table, key])).equals(value));
  assert.equal(await run('COUNT', table), 1);
  const described = await run('DESCRIBE', table);
  const text = JSON.stringify(described);
  assert.ok(text.includes('"entries"') && text.includes(table), text);
  assert.equal(await run('DROP', table), 'dropped');
}

async function errors(client) {
  await assert.rejects(client.sendCommand(['GET', 'missing', 'k']), {
    message: 'MISSINGTABLE missing table',
  });
  await assert.rejects(client.sendCommand(['NONSENSE']), /ERR unknown command 'NONSENSE'/);
  await assert.rejects(client.sendCommand(['GET']), /ERR wrong number of arguments for 'get'/);
}

async function pipelines(client) {
  await client.sendCommand(['CREATE', 'pipes']);
  const puts = Array.from({ length: 1000 }, (_, n) =>
    client.sendCommand(['PUTNEW', 'pipes', `k${n}`, `v${n}`]));
  assert.ok((await Promise.all(puts)).every((reply) => reply === 'ok'));
  const gets = Array.from({ length: 1000 }, (_, n) =>
    client.sendCommand(['GET', 'pipes', `k${n}`]));
  assert.deepEqual(await Promise.all(gets), Array.from({ length: 1000 }, (_, n) => `v${n}`));
}

async function whatLibrariesAsk(client) {
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.echo('a\r\nb'), 'a\r\nb');
  assert.equal(await client.clientGetName(), 'of-node-redis');
  assert.ok((await client.clientId()) > 0);
  const mine = await client.clientInfo();
  assert.equal(mine.name, 'of-node-redis');
  assert.equal(mine.libName, 'node-redis');
  assert.match(await client.info(), /^redis_version:7/m);
  assert.deepEqual({ ...(await client.configGet('save')) }, { save: '' });
  assert.ok((await client.commandCount()) > 20);
  assert.ok((await client.command()).some((command) => command.name === 'get'));
}

async function main() {
  const options = {
    socket: { host: '127.0.0.1', port: Number(port) },
    name: 'of-node-redis',
    database: 0,
  };
  if (resp) options.RESP = Number(resp);
  const client = library.createClient(options);
  const troubles = [];
  client.on('error', (error) => troubles.push(error));
  await client.connect();
  for (const part of [commands, errors, pipelines, whatLibrariesAsk]) await part(client);
  // The older of the two words for it; both must work.
  await (client.close ? client.close() : client.quit());

  const again = library.createClient(options);
  again.on('error', (error) => troubles.push(error));
  await again.connect();
  assert.equal(await again.clientGetName(), 'of-node-redis');
  assert.equal(await again.sendCommand(['QUIT']), 'OK');
  await (again.destroy ? again.destroy() : again.disconnect());
  assert.deepEqual(troubles, []);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
