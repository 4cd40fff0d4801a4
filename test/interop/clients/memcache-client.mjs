/** npm memcache-client: one line for each thing that it does, the same for every right server. */
import { MemcacheClient } from 'memcache-client'

const [, , host, port] = process.argv
const DAY = 86400
const client = new MemcacheClient({ server: `${host}:${port}`, cmdTimeout: 20_000 })

const show = (name, ...values) => console.log(`${name}: ${values.map(value => JSON.stringify(value)).join(' ')}`)
const ask = async (name, ...values) => {
  try {
    return (await client[name](...values)) ?? null
  } catch (error) {
    return error.message
  }
}
const value = async (...what) => (await client.get(...what))?.value ?? null
const forever = { lifetime: 0 }
const quiet = { lifetime: 0, noreply: true }

show('flush_all', await ask('cmd', 'flush_all'))
show('get of nothing', await value('k'))
show('set', await ask('set', 'k', 'v', forever), await value('k'))
show('get', await ask('get', 'k'))
show('empty value', await ask('set', 'empty', '', forever), await value('empty'))
show('add over', await ask('add', 'k', 'no', forever))
show('add', await ask('add', 'added', 'yes', forever))
show('replace', await ask('replace', 'k', 'w', forever))
show('replace of nothing', await ask('replace', 'nothing', 'no', forever))
show('append', await ask('append', 'k', '-tail', forever))
show('prepend', await ask('prepend', 'k', 'head-', forever))
show('append to nothing', await ask('append', 'nothing', 'no', forever))
show('after all of them', await ask('get', ['k', 'added', 'nothing']))

const got = await client.gets('k')
show('gets', got.value, /^\d+$/.test(got.casUniq))
show('cas', await ask('cas', 'k', 'swapped', { ...forever, casUniq: got.casUniq }))
show('cas once more', await ask('cas', 'k', 'no', { ...forever, casUniq: got.casUniq }))
show('cas of nothing', await ask('cas', 'nothing', 'no', { ...forever, casUniq: got.casUniq }))
show('gets of many', Object.keys(await client.gets(['k', 'added', 'nothing'])))

show('incr of nothing', await ask('incr', 'n', 1))
show('set n', await ask('set', 'n', '10', forever))
show('incr', await ask('incr', 'n', 5))
show('decr', await ask('decr', 'n', 8))
show('decr below 0', await ask('decr', 'n', 100))
show('incr of text', await ask('incr', 'k', 1))

show('touch', await ask('touch', 'k', DAY))
show('touch of nothing', await ask('touch', 'nothing', DAY))
show('touch into the past', await ask('touch', 'added', -1), await value('added'))
show('expiry 0', await ask('set', 'stays', 'x', forever), await value('stays'))
show('expiry of a day', await ask('set', 'day', 'x', { lifetime: DAY }), await value('day'))
show('expiry in 1970', await ask('set', 'past', 'x', { lifetime: 31 * DAY }), await value('past'))
show('delete', await ask('delete', 'day'), await value('day'))
show('delete of nothing', await ask('delete', 'day'))

show('an object', await ask('set', 'object', { a: [1, null, 'ü'] }, forever), await value('object'))
show('a number', await ask('set', 'number', 1.5, forever), await value('number'))
const bytes = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.from('\r\nEND\r\n')])
show('binary bytes', await ask('set', 'bytes', bytes, forever), bytes.equals(await value('bytes')))
const big = Buffer.alloc(512_000, bytes)
show('500 KB', await ask('set', 'big', big, forever), big.equals(await value('big')))
show('2 MB', await ask('set', 'huge', Buffer.alloc(2 ** 21), forever), await value('huge'))
show('longest key', await ask('set', 'l'.repeat(250), 'x', forever), await value('l'.repeat(250)))
show('key too long', await ask('delete', 'l'.repeat(251)))

const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`many-${i}`, `value ${i}`.repeat(i % 7)]))
const stored = await Promise.all(Object.entries(many).map(([key, text]) => client.set(key, text, forever)))
show(
  '200 sets at once',
  stored.every(([answer]) => answer === 'STORED'),
)
const found = await client.get([...Object.keys(many), 'nothing'])
show(
  'get of many',
  Object.keys(found).length,
  Object.keys(many).every(key => found[key].value === many[key]),
)

show('set without reply', await ask('set', 'quiet', '1', quiet), await value('quiet'))
show('add without reply', await ask('add', 'quiet', '2', quiet), await value('quiet'))
show('append without reply', await ask('append', 'quiet', '0', quiet), await value('quiet'))
show('incr without reply', await ask('incr', 'quiet', 5, quiet), await value('quiet'))
show('decr without reply', await ask('decr', 'quiet', 2, quiet), await value('quiet'))
show('touch without reply', await ask('touch', 'quiet', -1, quiet), await value('quiet'))
show('delete without reply', await ask('delete', 'stays', quiet), await value('stays'))

const [, version] = (await client.version()).join(' ').match(/(\d+)\.\d+\.\d+/)
show('version', version)
const { STAT: stats } = await client.cmd('stats')
const named = new Set(stats.map(([name]) => name))
show(
  'stats',
  ['pid', 'curr_items', 'cmd_get', 'limit_maxbytes', 'threads'].map(name => named.has(name)),
)
show('verbosity', await ask('cmd', 'verbosity 1'))
show('no command', await ask('cmd', 'nonsense'))
show('flush_all', await ask('cmd', 'flush_all'), await value('k'), await value('big'))
show('set after it', await ask('set', 'k', 'new', forever), await value('k'))
client.shutdown()
