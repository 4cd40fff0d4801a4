/** The load generator's reader says what lib/protocol's parser says, about any stream in any pieces; and meta replies. */
import fc from 'fast-check'
import t from 'tap'
import { scanReplies } from '../../bench/speed/reply-scanner.js'
import { BadReply, ReplyParser } from '../../lib/protocol/index.js'

type Part = [kind: string, text: string, more?: string]

/** Parts in order, from a stream that comes in pieces of these sizes, the last one repeated: the rest is scanned again. */
function scan(stream: Buffer, sizes: number[]): Part[] {
  const parts: Part[] = []
  let pending = Buffer.alloc(0)
  const text = (at: number, length: number) => {
    if (at + length > pending.length) throw new Error('a place outside of what came')
    return pending.toString('latin1', at, at + length)
  }
  const events = {
    onValue: (keyAt: number, keyLength: number, at: number, length: number) =>
      void parts.push(['value', text(keyAt, keyLength), text(at, length)]),
    onMetaValue: (at: number, length: number) => void parts.push(['meta', text(at, length)]),
    onEnd: () => void parts.push(['end', '']),
    onLine: (at: number, length: number) => void parts.push(['line', text(at, length)]),
  }
  let at = 0
  for (let i = 0; at < stream.length; i++) {
    const size = Math.max(1, sizes[Math.min(i, sizes.length - 1)] ?? stream.length)
    const end = pending.length + Math.min(size, stream.length - at)
    // Junk after the end, as in a memory that was used before: it must not be looked at.
    pending = Buffer.concat([pending, stream.subarray(at, at + size), Buffer.from('VALUE END\r\n')])
    const scanned = scanReplies(pending, 0, end, events)
    pending = Buffer.from(pending.subarray(scanned, end))
    at += size
  }
  if (pending.length > 0) parts.push(['open', pending.toString('latin1')])
  return parts
}

/** The same by lib/protocol; values only count when their END came, as there. */
function parse(stream: Buffer): Part[] {
  const parts: Part[] = []
  const parser = new ReplyParser(reply => {
    if (reply.kind === 'values') {
      for (const { key, value } of reply.values) parts.push(['value', key, value.toString('latin1')])
      parts.push(['end', ''])
    } else if (reply.kind === 'number') parts.push(['line', String(reply.number)])
    else if (reply.kind === 'version') parts.push(['line', `VERSION ${reply.version}`])
    else if (reply.kind !== 'stats') parts.push(['line', reply.line])
  })
  parser.push(stream)
  return parts
}

const key = fc.stringMatching(/^[!-~]{1,250}$/)
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom('END\r\n', 'VALUE a 0 1\r\n', '\r\n').map(text => Buffer.from(text)),
)
const valueBlock = fc
  .tuple(key, bytes, fc.option(fc.bigInt(0n, 2n ** 64n - 1n)))
  .map(([name, value, cas]) =>
    Buffer.concat([
      Buffer.from(`VALUE ${name} 3 ${value.length}${cas === null ? '' : ` ${cas}`}\r\n`),
      value,
      Buffer.from('\r\n'),
    ]),
  )
const reply = fc.oneof(
  fc
    .constantFrom('STORED', 'NOT_FOUND', 'E', 'EN', 'V', 'VAL', 'ENDING', '', 'SERVER_ERROR x', 'VERSION 1.6.45', '42')
    .map(text => Buffer.from(`${text}\r\n`)),
  fc.array(valueBlock, { maxLength: 4 }).map(blocks => Buffer.concat([...blocks, Buffer.from('END\r\n')])),
)

t.test('the same parts as lib/protocol, whatever the pieces', async t => {
  fc.assert(
    fc.property(
      fc.array(reply, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 }),
      (replies, sizes) => {
        const stream = Buffer.concat(replies)
        t.same(scan(stream, sizes), parse(stream))
      },
    ),
    { numRuns: 200 },
  )
})

t.test('byte by byte', async t => {
  const stream = Buffer.from('VALUE a 0 4\r\nEND\r\r\nVALUE b 1 0 7\r\n\r\nEND\r\nSTORED\r\nEND\n')
  const expected: Part[] = [
    ['value', 'a', 'END\r'],
    ['value', 'b', ''],
    ['end', ''],
    ['line', 'STORED'],
    ['end', ''],
  ]
  t.same(scan(stream, [1]), expected)
  t.same(parse(stream), expected)
})

t.test('nonsense is refused by both', async t => {
  const nonsense = [
    'VALUE a 0 -1\r\n',
    'VALUE  0 1\r\nx\r\n',
    'VALUE a 0 1\r\nxy\r\nEND\r\n',
    'VALUE a 0 1 2 3\r\nx\r\n',
    'VALUE a x 1\r\nx\r\n',
    'VALUE a 0 99999999999\r\n',
    'VALUE a 0 9999999999\r\n',
    `${'x'.repeat(5000)}\r\n`,
  ]
  for (const text of nonsense) {
    const stream = Buffer.from(text)
    t.throws(() => parse(stream), { code: 'BAD_REPLY' }, `parser: ${text.slice(0, 30)}`)
    t.throws(() => scan(stream, [stream.length]), { code: 'BAD_REPLY' }, `scanner: ${text.slice(0, 30)}`)
    t.throws(() => scan(stream, [1]), BadReply, 'byte by byte')
  }
})

t.test('meta replies', async t => {
  const stream = Buffer.from('VA 4 f0 c12\r\nEN\r\n\r\nEN\r\nHD\r\nHD c5\r\nVA 0\r\n\r\nNS\r\n')
  const expected: Part[] = [
    ['meta', 'EN\r\n'],
    ['line', 'EN'],
    ['line', 'HD'],
    ['line', 'HD c5'],
    ['meta', ''],
    ['line', 'NS'],
  ]
  for (const sizes of [[1], [3, 2], [1000]]) t.same(scan(stream, sizes), expected)
  for (const text of ['VA \r\n\r\n', 'VA x\r\n', 'VA 1\r\nxy\r\n']) {
    t.throws(() => scan(Buffer.from(text), [1000]), BadReply, text)
  }
})
