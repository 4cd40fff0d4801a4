/** Gets of many keys: how the line is split and the answers merged, with parts that the test plays. */
import t from 'tap'
import { multiGet } from '../../lib/server/multi-get.js'
import { ReplyArena } from '../../lib/server/reply-arena.js'
import type { Request } from '../../lib/server/request.js'

/** Keys `a1`, `b2` ... live at the node that their digit names; 0 is this node. */
function get(line: string, reply: (line: string, owner: number) => string, borrows = true) {
  const lines: string[] = []
  const arena = new ReplyArena()
  let answer: string | null = null
  const whole: Request = {
    ...{ bytes: Buffer.from(line), hops: 0, dropped: false, cancel: null },
    answer: bytes => {
      answer = bytes.toString('latin1')
    },
    ...(borrows ? { answerBorrowed: (bytes: Uint8Array) => whole.answer(Buffer.from(bytes)) } : {}),
  }
  const give = (owner: number, part: Request) => {
    const text = part.bytes.toString('latin1')
    lines.push(`${owner}: ${text.trim()}`)
    const bytes = Buffer.from(reply(text, owner), 'latin1')
    if (borrows && part.answerBorrowed) part.answerBorrowed(bytes)
    else part.answer(bytes)
  }
  multiGet(whole, {
    keys: (bytes, from, to, each) => {
      for (const { 0: key, index } of bytes.toString('latin1', from, to).matchAll(/[^ ]+/g)) {
        each(from + index, from + index + key.length, Number(key.at(-1)))
      }
    },
    ...{ self: 0, arena, local: part => give(0, part), forward: give },
  })
  return { lines, answer }
}

const block = (key: string, size = 5) => `VALUE ${key} 12 ${size} 77\r\n${'END\r\n'.repeat(size / 5)}\r\n`
/** A node that has every key but those with an x. */
const has = (line: string) => {
  const [command, ...words] = line.trim().split(' ')
  const keys = command!.startsWith('gat') ? words.slice(1) : words
  return `${keys.map(key => (key.includes('x') ? '' : block(key, key.includes('L') ? 9000 : 5))).join('')}END\r\n`
}

t.test('merged in the order asked, twice where asked twice, without what is missing', async t => {
  for (const borrows of [true, false]) {
    const { lines, answer } = get('gets a1 b2 x1 c1 a1 d0 x2 e2 f0 L1 x1\r\n', has, borrows)
    t.same(lines, ['1: gets a1 x1 c1 a1 L1 x1', '2: gets b2 x2 e2', '0: gets d0', '0: gets f0'])
    t.equal(answer, has('gets a1 b2 c1 a1 d0 e2 f0 L1'))
  }
  t.same(get('gat 30 a1 b0\r\n', has).lines, ['1: gat 30 a1', '0: gat 30 b0'])
  t.equal(get('gat 30 a1 b0\r\n', has).answer, has('get a1 b0'))
  t.equal(get('get x1 x2\r\n', has).answer, 'END\r\n')
})

t.test('a line to one node has 100 keys at most', async t => {
  const keys = Array.from({ length: 250 }, (_, i) => `k${i}-1`)
  const { lines, answer } = get(`get ${keys.join(' ')}\r\n`, has)
  t.same(
    lines.map(line => line.split(' ').length - 2),
    [100, 100, 50],
  )
  t.equal(answer, has(`get ${keys.join(' ')}`))
})

t.test('a part that fails or is cut off fails the whole', async t => {
  const at2 = (reply: string) => get('get a1 b2 c2 d1\r\n', (line, owner) => (owner === 2 ? reply : has(line))).answer
  const cut = 'SERVER_ERROR a part of the answer was cut off\r\n'
  t.equal(at2('SERVER_ERROR no\r\n'), 'SERVER_ERROR no\r\n')
  const whole = has('get b2 c2')
  t.equal(at2(whole), has('get a1 b2 c2 d1'))
  for (let length = 0; length < whole.length; length++) {
    // A list of fewer blocks is a list all the same.
    const part = whole.slice(0, length)
    t.equal(at2(part), cut, `${length} bytes of it`)
  }
  t.equal(at2(has('get c2 b2')), cut, 'in another order')
  t.equal(at2(has('get q2')), cut, 'another key')
  t.equal(at2('VALUE b2 0 99999999\r\nabc\r\nEND\r\n'), cut, 'longer than it is')
})
