/** Replies in any pieces; npm's memcache-parser as a second opinion about VALUE blocks. */
import fc from 'fast-check'
import { MemcacheParser } from 'memcache-parser' // needs tslib without saying so: both are devDependencies
import t from 'tap'
import { type Reply, ReplyParser } from '../../lib/protocol/index.js'

/** All replies of a stream, cut into pieces of these sizes, the last one repeated. */
function parse(stream: Buffer, sizes: number[] = [stream.length]): Reply[] {
  const replies: Reply[] = []
  const parser = new ReplyParser(reply => replies.push(reply))
  let at = 0
  for (let i = 0; at < stream.length; i++) {
    const size = Math.max(1, sizes[Math.min(i, sizes.length - 1)] ?? 1)
    parser.push(Buffer.from(stream.subarray(at, at + size)))
    at += size
  }
  if (parser.isOpen) throw new Error('the stream ended in the middle of a reply')
  return replies
}
const replyOf = (text: string): Reply => parse(Buffer.from(text, 'latin1'))[0]!

t.test('one of each', async t => {
  t.same(replyOf('STORED\r\n'), { kind: 'line', line: 'STORED' })
  t.same(replyOf('END\r\n'), { kind: 'values', values: [] })
  t.same(replyOf('18446744073709551615\r\n'), { kind: 'number', number: 2n ** 64n - 1n })
  t.same(replyOf('VERSION 1.6.45\r\n'), { kind: 'version', version: '1.6.45' })
  t.same(replyOf('ERROR\r\n'), { kind: 'error', error: 'ERROR', line: 'ERROR' })
  const tooLarge = 'SERVER_ERROR object too large for cache'
  t.same(replyOf(`${tooLarge}\r\n`), { kind: 'error', error: 'SERVER_ERROR', line: tooLarge })
  t.match(replyOf('ERROR: shutdown not enabled\r\n'), { kind: 'error', error: 'ERROR' })
  t.same(replyOf('ERRORS\r\n'), { kind: 'line', line: 'ERRORS' })
  t.same(replyOf('STAT pid 12\r\nSTAT empty \r\nSTAT version 1 2\r\nEND\r\n'), {
    kind: 'stats',
    stats: [
      ['pid', '12'],
      ['empty', ''],
      ['version', '1 2'],
    ],
  })
  t.same(replyOf('VALUE a 7 4\r\nEND\r\r\nVALUE b 0 0 99\r\n\r\nEND\r\n'), {
    kind: 'values',
    values: [
      { key: 'a', flags: 7, value: Buffer.from('END\r') },
      { key: 'b', flags: 0, value: Buffer.alloc(0), casUnique: 99n },
    ],
  })
})

t.test('an error after some values takes their place', async t => {
  const replies = parse(Buffer.from('VALUE a 0 1\r\nx\r\nSERVER_ERROR gone\r\nEND\r\n'))
  t.match(replies, [{ kind: 'error' }, { kind: 'values', values: [] }])
})

t.test('nonsense is refused with its words', async t => {
  const throws = (text: string, message: RegExp) =>
    t.throws(() => replyOf(text), { code: 'BAD_REPLY', message }, text.slice(0, 30))
  throws('VALUE a 0 -1\r\n', /VALUE a 0 -1/)
  throws('VALUE a 0 1\r\nxy\r\nEND\r\n', /"VALUE a 0 1" does not end/)
  throws('x'.repeat(5000), /4096/)
  throws('VALUE a 0 9999999999\r\n', /9999999999/)
  const small = new ReplyParser(() => {}, { listMax: 2 })
  t.throws(() => small.push(Buffer.from('VALUE a 0 1\r\nx\r\n'.repeat(3))), { code: 'BAD_REPLY' })
})

const key = fc.stringMatching(/^[!-~]{1,250}$/)
const replies = fc.oneof(
  fc.constantFrom('STORED', 'NOT_FOUND', 'OK', 'ERROR').map(line => Buffer.from(`${line}\r\n`)),
  fc
    .array(fc.tuple(key, fc.uint8Array({ maxLength: 300 })), { maxLength: 5 })
    .map(values =>
      Buffer.concat([
        ...values.flatMap(([name, value]) => [
          Buffer.from(`VALUE ${name} 3 ${value.length}\r\n`),
          value,
          Buffer.from('\r\n'),
        ]),
        Buffer.from('END\r\n'),
      ]),
    ),
)

t.test('the pieces do not matter', async t => {
  fc.assert(
    fc.property(
      fc.array(replies, { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
      (all, sizes) => {
        const stream = Buffer.concat(all)
        const whole = parse(stream)
        t.same(parse(stream, sizes), whole)
        t.equal(whole.length, all.length)
      },
    ),
    { numRuns: 100 },
  )
})

t.test('memcache-parser finds the same values', async t => {
  class Theirs extends MemcacheParser {
    readonly values: { key: string; value: Buffer }[] = []
    override processCmd(tokens: string[]): number {
      if (tokens[0] !== 'VALUE') return 0
      this.initiatePending(tokens, Number(tokens[3]))
      return 1
    }
    override receiveResult(result: { cmdTokens: string[]; data?: Buffer } | string): void {
      if (typeof result === 'string') throw new Error(result)
      this.values.push({ key: result.cmdTokens[1]!, value: Buffer.from(result.data ?? '') })
    }
  }
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.uint8Array({ maxLength: 300 })), { minLength: 1, maxLength: 8 }), values => {
      const blocks = values.flatMap(([name, value]) => [
        Buffer.from(`VALUE ${name} 0 ${value.length}\r\n`),
        value,
        Buffer.from('\r\n'),
      ])
      const theirs = new Theirs({ error: t.fail, warn: t.fail, info: () => {}, debug: () => {} })
      theirs.onData(Buffer.concat(blocks))
      const ours = parse(Buffer.concat([...blocks, Buffer.from('END\r\n')]))[0]!
      const found = ours.kind === 'values' ? ours.values.map(({ key, value }) => ({ key, value })) : ours.kind
      t.same(found, theirs.values)
    }),
    { numRuns: 100 },
  )
})
