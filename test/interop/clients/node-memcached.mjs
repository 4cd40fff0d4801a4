/** npm memcached: one line for each thing that it does, the same for every right server. */
import { promisify } from 'node:util'
import Memcached from 'memcached'

const [, , host, port] = process.argv
const DAY = 86400
const client = new Memcached(`${host}:${port}`, { timeout: 20_000, retries: 0, maxValue: 4 * 1024 * 1024 })
const call = (name, ...values) => promisify(client[name]).apply(client, values)

const show = (name, ...values) => console.log(`${name}: ${values.map(value => JSON.stringify(value)).join(' ')}`)
const ask = async (...what) => {
  try {
    return (await call(...what)) ?? null
  } catch (error) {
    return [error].flat().map(one => one.message ?? one)
  }
}

show('flush', await ask('flush'))
show('get of nothing', await ask('get', 'k'))
show('set', await ask('set', 'k', 'v', 0), await ask('get', 'k'))
show('empty value', await ask('set', 'empty', '', 0), await ask('get', 'empty'))
show('add over', await ask('add', 'k', 'no', 0))
show('add', await ask('add', 'added', 'yes', 0))
show('replace', await ask('replace', 'k', 'w', 0))
show('replace of nothing', await ask('replace', 'nothing', 'no', 0))
show('append', await ask('append', 'k', '-tail'))
show('prepend', await ask('prepend', 'k', 'head-'))
show('append to nothing', await ask('append', 'nothing', 'no'))
show('after all of them', await ask('getMulti', ['k', 'added', 'nothing']))

const got = await call('gets', 'k')
show('gets', got.k, /^\d+$/.test(got.cas))
show('cas', await ask('cas', 'k', 'swapped', got.cas, 0))
show('cas once more', await ask('cas', 'k', 'no', got.cas, 0))
show('cas of nothing', await ask('cas', 'nothing', 'no', got.cas, 0))
show('after cas', await ask('get', 'k'))

show('incr of nothing', await ask('incr', 'n', 1))
show('set n', await ask('set', 'n', 10, 0))
show('incr', await ask('incr', 'n', 5))
show('decr', await ask('decr', 'n', 8))
show('decr below 0', await ask('decr', 'n', 100))
show('incr of text', await ask('incr', 'k', 1))

show('touch', await ask('touch', 'k', DAY))
show('touch of nothing', await ask('touch', 'nothing', DAY))
show('touch into the past', await ask('touch', 'added', -1), await ask('get', 'added'))
show('expiry 0', await ask('set', 'stays', 'x', 0), await ask('get', 'stays'))
show('expiry of a day', await ask('set', 'day', 'x', DAY), await ask('get', 'day'))
show('expiry in 1970', await ask('set', 'past', 'x', 31 * DAY), await ask('get', 'past'))
show('del', await ask('del', 'day'), await ask('get', 'day'))
show('del of nothing', await ask('del', 'day'))

show('an object', await ask('set', 'object', { a: [1, null, 'ü'] }, 0), await ask('get', 'object'))
show('a number', await ask('set', 'number', 1.5, 0), await ask('get', 'number'))
const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
await call('set', 'bytes', bytes, 0)
show('binary bytes', bytes.equals(await call('get', 'bytes')))
show('line ends', await ask('set', 'lines', 'a\r\nb\r\n', 0), await ask('get', 'lines'))
const big = 'quite long '.repeat(46_546)
show('500 KB', big.length, await ask('set', 'big', big, 0), (await call('get', 'big')) === big)
show('longest key', await ask('set', 'l'.repeat(250), 'x', 0), await ask('get', 'l'.repeat(250)))

const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`many-${i}`, `value ${i}`.repeat(i % 7)]))
const stored = await Promise.all(Object.entries(many).map(([key, value]) => call('set', key, value, 0)))
show('200 sets at once', stored.every(Boolean))
const found = await call('getMulti', [...Object.keys(many), 'nothing'])
show(
  'getMulti',
  Object.keys(found).length,
  Object.keys(many).every(key => found[key] === many[key]),
)

const version = await call('version')
show('version', version.map?.(one => Number(one.major)) ?? Number(version.major))
const [stats] = await call('stats')
show(
  'stats',
  ['pid', 'curr_items', 'cmd_get', 'limit_maxbytes', 'threads'].map(name => name in stats),
)
const [settings] = [await call('settings')].flat()
show('settings', settings.item_size_max)
show('flush', await ask('flush'), await ask('get', 'big'), await ask('get', 'stays'))
show('set after it', await ask('set', 'k', 'new', 0), await ask('get', 'k'))
client.end()
