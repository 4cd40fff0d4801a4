/**
 * Live agreement about the ring: libmemcached (through php), nutcracker and npm's memcached each write keys to five real servers,
 * and our client, with that dialect, finds every one at the first server it asks; and the other way round. 10,000 keys each way
 * and dialect, or AGREEMENT_KEYS of them.
 */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { Client, type Dialect } from '../../lib/client/index.js'
import { freePort, has, start, temporaryFolder } from '../interop/processes.js'
import { HOST, memcached, type Server, until, withoutMemcached } from './servers.js'

const COUNT = Number(process.env.AGREEMENT_KEYS ?? 10_000)
const keysOf = (who: string) => Array.from({ length: COUNT }, (_, i) => `${who}:${i * 7919}:key`)

function open(t: Test, servers: readonly Server[], dialect: Dialect): Client {
  const client = new Client({ servers: servers.map(({ address }) => address), dialect, timeoutMs: 20_000 })
  t.teardown(() => client.destroy())
  return client
}

/** Theirs by us: all there, and no server was asked in vain. */
async function readsAll(t: Test, client: Client, keys: string[]): Promise<void> {
  const misses = async () =>
    [...(await client.stats()).values()].reduce((sum, one) => sum + Number(one.get('get_misses')), 0)
  const before = await misses()
  const found = await client.getMany<string>(keys)
  t.equal(found.size, keys.length)
  t.ok(keys.every(key => found.get(key) === `value of ${key}`))
  t.equal(await misses(), before, 'at the first server asked')
}

const pairs = (keys: string[]) => keys.map((key): [string, string] => [key, `value of ${key}`])

/** As a file: 10,000 keys are more than a command line takes. */
async function php(code: string): Promise<string> {
  const folder = temporaryFolder()
  const file = join(folder.path, 'script.php')
  writeFileSync(file, `<?php ${code}`)
  try {
    return (await promisify(execFile)('php', [file])).stdout
  } finally {
    folder.remove()
  }
}
const phpLoads = await php('echo extension_loaded("memcached") ? "yes" : "no";').then(
  said => said === 'yes',
  () => false,
)

t.test('five servers', { skip: withoutMemcached }, async t => {
  const servers = await Promise.all(Array.from({ length: 5 }, () => memcached(t)))

  for (const [dialect, options] of [
    ['libmemcached-weighted', 'OPT_LIBKETAMA_COMPATIBLE => true'],
    ['libmemcached-ketama', 'OPT_DISTRIBUTION => Memcached::DISTRIBUTION_CONSISTENT'],
  ] as const) {
    await t.test(`libmemcached, ${dialect}`, { skip: phpLoads ? false : 'php-memcached is not installed' }, async t => {
      const client = open(t, servers, dialect)
      const [theirs, ours] = [keysOf(`php-${dialect}`), keysOf(`ours-${dialect}`)]
      await client.setMany(pairs(ours))
      const list = servers.map(({ port }) => `['${HOST}', ${port}]`).join(', ')
      const said = await php(`
        $m = new Memcached();
        $m->setOptions([Memcached::${options}]);
        $m->addServers([${list}]);
        foreach (json_decode('${JSON.stringify(theirs)}') as $k) if (!$m->set($k, "value of $k")) echo "not stored: $k\\n";
        $found = 0;
        foreach (array_chunk(json_decode('${JSON.stringify(ours)}'), 100) as $some)
          foreach ($m->getMulti($some) as $k => $value) if ($value === "value of $k") $found++;
        echo $found;`)
      t.equal(said, String(ours.length), 'ours by libmemcached')
      await readsAll(t, client, theirs)
    })
  }

  await t.test('nutcracker', { skip: has('nutcracker') ? false : 'nutcracker is not installed' }, async t => {
    const folder = temporaryFolder()
    t.teardown(() => folder.remove())
    const [md5, fnv, one] = [await freePort(), await freePort(), await freePort()]
    const pool = (name: string, port: number, hash: string) =>
      [
        `${name}:`,
        `  listen: ${HOST}:${port}`,
        `  hash: ${hash}`,
        '  distribution: ketama',
        '  servers:',
        ...servers.map(server => `   - ${server.address}:1`),
      ].join('\n')
    const file = join(folder.path, 'nutcracker.yml')
    const pools = [pool('a', md5, 'md5'), pool('b', fnv, 'fnv1a_64'), pool('c', one, 'one_at_a_time')]
    writeFileSync(file, `${pools.join('\n')}\n`)
    const statsPort = await freePort()
    const proxy = start('nutcracker', ['-c', file, '-s', String(statsPort), '-a', HOST])
    t.teardown(() => proxy.stop('SIGKILL'))
    for (const [port, dialect] of [
      [md5, 'twemproxy-md5'],
      [fnv, 'twemproxy-fnv1a_64'],
      [one, 'twemproxy-one_at_a_time'],
    ] as const) {
      // The proxy does not know meta commands, and closes the connection when it hears one: the client finds that out.
      const through = new Client({ servers: `${HOST}:${port}`, timeoutMs: 20_000, failuresMax: 100 })
      t.teardown(() => through.destroy())
      await until(() =>
        through.get('is-it-there').then(
          () => true,
          () => false,
        ),
      )
      const client = open(t, servers, dialect)
      const [theirs, ours] = [keysOf(`nutcracker-${dialect}`), keysOf(`ours-${dialect}`)]
      await client.setMany(pairs(ours))
      const seen = await through.getMany<string>(ours)
      t.ok(
        ours.every(key => seen.get(key) === `value of ${key}`),
        'ours by nutcracker',
      )
      await through.setMany(pairs(theirs))
      await readsAll(t, client, theirs)
    }
  })

  await t.test("npm's memcached", async t => {
    const { default: Memcached } = await import('memcached')
    const options = { retries: 40, minTimeout: 5, maxTimeout: 100, timeout: 20_000, poolSize: 4 }
    const npm = new Memcached(
      servers.map(({ address }) => address),
      options,
    )
    t.teardown(() => npm.end())
    const client = open(t, servers, 'node-memcached')
    const [theirs, ours] = [keysOf('npm'), keysOf('ours-npm')]
    await client.setMany(pairs(ours))
    for (let at = 0; at < COUNT; at += 100) {
      await Promise.all(
        pairs(theirs.slice(at, at + 100)).map(
          ([key, value]) =>
            new Promise<void>((resolve, reject) => {
              npm.set(key, value, 0, error => (error ? reject(error) : resolve()))
            }),
        ),
      )
    }
    const found = await new Promise<Record<string, unknown>>((resolve, reject) => {
      npm.getMulti(ours, (error, values) => (error ? reject(error) : resolve(values)))
    })
    t.ok(
      ours.every(key => found[key] === `value of ${key}`),
      'ours by npm',
    )
    await readsAll(t, client, theirs)
  })
})
