import t from 'tap'
import { KeyOracle } from './oracle.js'

t.test('the oracle names what went wrong', async t => {
  const key = new KeyOracle()
  t.equal(key.answered({ verb: 'set', value: 'v1' }, 'STORED'), null)
  t.equal(key.answered({ verb: 'set', value: 'v2' }, 'STORED'), null)
  t.match(key.answered({ verb: 'get', value: '' }, 'hit v1'), /^stale/)
  t.match(key.answered({ verb: 'get', value: '' }, 'miss'), /^lost/)
  t.match(key.answered({ verb: 'get', value: '' }, 'hit v9'), /^wrong/)
  t.equal(key.answered({ verb: 'delete', value: '' }, 'DELETED'), null)
  t.match(key.answered({ verb: 'get', value: '' }, 'hit v2'), /^resurrected/)
})

t.test('an unknown outcome may be seen or not, until an answer decides', async t => {
  const key = new KeyOracle()
  key.answered({ verb: 'set', value: '7' }, 'STORED')
  key.unknown({ verb: 'incr', value: '1' })
  t.equal(key.answered({ verb: 'get', value: '' }, 'hit 8'), null)
  t.match(key.answered({ verb: 'get', value: '' }, 'hit 7'), /^stale/)
})
