/** Login and TLS, by real servers. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Client, type ClientOptions } from '../../lib/client/index.js'
import { has, temporaryFolder } from '../interop/processes.js'
import { memcached, node, withoutMemcached } from './servers.js'

const folder = temporaryFolder()
t.teardown(() => folder.remove())
const users = join(folder.path, 'users')
writeFileSync(users, 'ann:secret\n')
const LOGIN = { user: 'ann', password: 'secret' }

for (const [name, begin, skip] of [
  ['memcached', memcached, withoutMemcached],
  ['a node', node, false],
] as const) {
  t.test(`login to ${name}`, { skip }, async t => {
    const server = await begin(t, '-Y', users)
    const open = (auth: ClientOptions['auth'] | null) => {
      const client = new Client({ servers: server.address, timeoutMs: 5000, ...(auth ? { auth } : {}) })
      t.teardown(() => client.destroy())
      return client
    }
    const client = open(LOGIN)
    t.equal(await client.set('k', 'v'), true)
    t.equal(await client.get('k'), 'v')
    await t.rejects(open({ user: 'ann', password: 'wrong' }).get('k'), { code: 'AUTH_FAILED' })
    await t.rejects(open(null).get('k'), { code: 'AUTH_FAILED' })
  })
}

t.test('TLS and a login', { skip: has('openssl') ? false : 'openssl is not installed' }, async t => {
  const [key, crt] = [join(folder.path, 'one.key'), join(folder.path, 'one.crt')]
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', crt]
  const names = ['-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', ['req', '-x509', ...made, ...names], { stdio: 'ignore' })
  const server = await node(t, '-Z', '-o', `ssl_chain_cert=${crt},ssl_key=${key}`, '-Y', users)
  const open = (tls: ClientOptions['tls']) => {
    const client = new Client({
      servers: server.address,
      auth: LOGIN,
      timeoutMs: 5000,
      failuresMax: 1,
      ...(tls ? { tls } : {}),
    })
    t.teardown(() => client.destroy())
    return client
  }
  const client = open({ ca: readFileSync(crt) })
  const large = Buffer.alloc(300_000, 'tls')
  await client.set('large', large)
  t.same(await client.get('large'), large)
  const keys = Array.from({ length: 500 }, (_, i) => `key${i}`)
  await client.setMany(keys.map((one): [string, string] => [one, one]))
  t.equal((await client.getMany(keys)).size, 500)
  await t.rejects(open(true).get('k'), { code: 'NODE_EJECTED', message: /self-signed/ }, 'nobody vouches for it')
})
