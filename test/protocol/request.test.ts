/** Lines taken apart as memcached does it (PROTOCOL D1), and put together. */
import fc from 'fast-check'
import t from 'tap'
import { getLine, isKey, keyRanges, storeParts, tokenRanges } from '../../lib/protocol/index.js'

const tokens = (line: string, leading?: number) => {
  const bytes = Buffer.from(line, 'latin1')
  const ranges = leading === undefined ? tokenRanges(bytes) : keyRanges(bytes, leading)
  const found: string[] = []
  for (let i = 0; i < ranges.length; i += 2) found.push(bytes.toString('latin1', ranges[i], ranges[i + 1]))
  return found
}

t.test('tokens', async t => {
  t.same(tokens('get a  bb   c  \r\n'), ['get', 'a', 'bb', 'c'], 'runs of spaces')
  t.same(tokens('get a\n'), ['get', 'a'], 'a bare \\n')
  t.same(tokens('get a\tb'), ['get', 'a\tb'], 'a tab is part of the token')
  t.same(tokens('\r\n'), [])
  t.same(tokens('get a\r\nget b\r\n'), ['get', 'a'], 'one line only')
  t.same(tokens('gat 10 a b\r\n', 2), ['a', 'b'])
  t.same(tokens('get\r\n', 1), [])
})

t.test('keys there and back', async t => {
  const key = fc.stringMatching(/^[!-~]{1,250}$/)
  fc.assert(
    fc.property(fc.array(key, { minLength: 1 }), keys => {
      t.same(tokens(getLine(keys), 1), keys)
      t.ok(keys.every(one => isKey(Buffer.from(one))))
    }),
    { numRuns: 50 },
  )
  for (const wrong of ['', 'a b', 'a\n', 'x'.repeat(251)]) t.notOk(isKey(Buffer.from(wrong)), JSON.stringify(wrong))
})

t.test('a storage command', async t => {
  const [head, value, tail] = storeParts('set', 'k', Buffer.from('abc'), { flags: 5 })
  t.equal(`${head}${Buffer.from(value)}${tail}`, 'set k 5 0 3\r\nabc\r\n')
})
