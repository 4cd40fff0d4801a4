/** Values of the load generator: any byte that is not right is seen; sizes, orders of keys, and what is known of a key. */
import t from 'tap'
import { keyOfRank, keyPicker, parseKeyOrder } from '../../bench/speed/key-order.js'
import { KeyState } from '../../bench/speed/key-state.js'
import { KEY_BYTES, Payload, poolBytes, VALUE_BYTES_MIN, WRONG } from '../../bench/speed/payload.js'
import { parseSizes, SizeTable } from '../../bench/speed/sizes.js'

const AT = 100

function payloadOf(size: string, seed = 1, isChecked = true) {
  const parsed = parseSizes(size)
  if (!parsed.ok) throw new Error(parsed.why)
  const sizes = new SizeTable(parsed.sizes, VALUE_BYTES_MIN, 1)
  const poolAt = 2 * sizes.largest + 1000
  const memory = new Uint8Array(poolAt + poolBytes(sizes))
  return { memory, sizes, payload: new Payload(memory, poolAt, sizes, seed, isChecked) }
}

for (const size of ['24', '33', '100', '1000', 'lognormal:300:4000']) {
  t.test(`values of ${size}`, async t => {
    const { memory, payload, sizes } = payloadOf(size)
    for (const [key, version] of [
      [0, 1],
      [99_999, 7],
      [0xffffffff, 0x7fffffff],
    ] as const) {
      const end = payload.writeValue(AT, key, version)
      const length = end - AT
      t.equal(length, sizes.of(key, version))
      t.equal(payload.versionOf(AT, length, key), version)
      t.equal(payload.versionOf(AT, length, (key + 1) >>> 0), WRONG, 'of another key')
      t.equal(payload.versionOf(AT, length - 1, key), WRONG, 'cut')
      for (let i = AT; i < end; i++) {
        memory[i]! ^= 1
        const seen = payload.versionOf(AT, length, key)
        if (seen !== WRONG) t.fail(`byte ${i - AT} of ${length} was changed, and version ${seen} was believed`)
        memory[i]! ^= 1
      }
    }
  })
}

t.test('a value of another run is wrong, and without checks only its version counts', async t => {
  const one = payloadOf('100', 1)
  const two = payloadOf('100', 2)
  const unchecked = payloadOf('100', 2, false)
  one.payload.writeValue(AT, 5, 3)
  for (const { memory } of [two, unchecked]) memory.set(one.memory.subarray(AT, AT + 100), AT)
  t.equal(two.payload.versionOf(AT, 100, 5), WRONG)
  t.equal(unchecked.payload.versionOf(AT, 100, 5), 3)
})

t.test('keys', async t => {
  const { memory, payload } = payloadOf('100')
  t.equal(payload.writeKey(AT, 0xabc) - AT, KEY_BYTES)
  t.equal(Buffer.from(memory.subarray(AT, AT + KEY_BYTES)).toString(), 'key-00000abc')
  t.ok(payload.isKey(AT, KEY_BYTES, 0xabc))
  t.notOk(payload.isKey(AT, KEY_BYTES, 0xabd))
  t.notOk(payload.isKey(AT, KEY_BYTES - 1, 0xab))
})

t.test('sizes', async t => {
  t.same(parseSizes('fixed:100'), { ok: true, sizes: { kind: 'fixed', bytes: 100 }, largest: 100 })
  for (const wrong of ['', '-1', 'fixed', 'lognormal:10', 'lognormal:10:5', 'lognormal:0:5', '1e3', '99999999999']) {
    t.equal(parseSizes(wrong).ok, false, wrong)
  }
  const { sizes } = payloadOf('lognormal:300:4000')
  const drawn = Array.from({ length: 20_000 }, (_, key) => sizes.of(key, 1))
  const mean = drawn.reduce((sum, size) => sum + size, 0) / drawn.length
  t.ok(mean > 250 && mean < 350, `mean ${mean}`)
  t.ok(
    drawn.every(size => size >= VALUE_BYTES_MIN && size <= 4000),
    'within bounds',
  )
})

t.test('orders of keys', async t => {
  const order = (text: string) => {
    const parsed = parseKeyOrder(text)
    if (!parsed.ok) throw new Error(parsed.why)
    return parsed.order
  }
  const draws = (text: string, keys: number, count: number, seed = 1) => {
    const picker = keyPicker(order(text), keys, seed, 3)
    return Array.from({ length: count }, () => picker.next())
  }
  t.same(draws('sequential', 5, 7), [3, 4, 0, 1, 2, 3, 4])
  for (const text of ['uniform', 'zipf:0.99', 'zipf']) {
    const drawn = draws(text, 50, 20_000)
    t.equal(new Set(drawn).size, 50, `${text}: each key comes`)
    t.ok(
      drawn.every(key => key >= 0 && key < 50),
      'and no other',
    )
    t.same(draws(text, 50, 20), drawn.slice(0, 20), 'the seed decides')
  }
  const popular = keyOfRank(0, 1000)
  const zipf = draws('zipf:1', 1000, 50_000).filter(key => key === popular).length / 50_000
  t.ok(zipf > 0.11 && zipf < 0.16, `the most popular of 1000 keys has 1/7.5 of the requests: ${zipf}`)
  t.equal(new Set(Array.from({ length: 1000 }, (_, rank) => keyOfRank(rank, 1000))).size, 1000, 'one key a rank')
  for (const wrong of ['', 'random', 'zipf:', 'zipf:x', 'zipf:9']) t.equal(parseKeyOrder(wrong).ok, false, wrong)
})

t.test('what a read may see', async t => {
  const state = new KeyState(10, 0, 1)
  t.equal(state.judge(3, 1, state.floorOf(3)), 'wrong', 'never written')
  t.equal(state.issue(3), 1)
  t.equal(state.judge(3, 1, 0), 'right', 'a write under way may be seen')
  state.acknowledge(3, 1)
  const floor = state.floorOf(3)
  t.equal(floor, 1)
  state.acknowledge(3, state.issue(3))
  t.equal(state.judge(3, 1, floor), 'right', 'the read left before the second write was acknowledged')
  t.equal(state.judge(3, 1, state.floorOf(3)), 'stale')
  t.equal(state.judge(3, 3, state.floorOf(3)), 'wrong', 'a version that is not yet written')
})

t.test('a key has one writer, and one write at a time', async t => {
  const state = new KeyState(10, 1, 3)
  t.equal(state.writableNear(0), 1)
  t.equal(state.writableNear(9), 1, 'after the last key comes the first')
  state.issue(1)
  t.equal(state.writableNear(1), 4)
  state.acknowledge(1, 1)
  t.equal(state.writableNear(1), 1)
  t.equal(state.judge(2, 9, 0), 'right', "another process's key: how far it is, only that one knows")
  t.equal(state.judge(2, 8, state.floorOf(2)), 'stale', 'but it does not go back')
  for (const key of [1, 4, 7]) state.issue(key)
  t.equal(state.writableNear(0), -1)
})
