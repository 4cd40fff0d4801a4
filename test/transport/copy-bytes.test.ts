/** Copies without a view: the same bytes as `set` copies, wherever they lie. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { copyBytes, copyWords, WORD_LOOP_BYTES_MAX } from '../../lib/transport/copy-bytes.js'

t.test('bytes: as much as is asked for, and nothing beside it', async t => {
  const source = randomBytes(400)
  for (const [from, at, length] of [
    [0, 0, 0],
    [3, 5, 1],
    [0, 0, 32],
    [1, 9, 33],
    [7, 2, 300],
    [0, 0, 400],
  ] as const) {
    const target = new Uint8Array(500).fill(0xee)
    const expected = Buffer.alloc(500, 0xee)
    copyBytes(source, from, target, at, length)
    source.copy(expected, at, from, from + length)
    t.ok(expected.equals(target), `${length} bytes from ${from} to ${at}`)
  }
})

t.test('words: all bytes that are asked for, three more at most, above 2 GiB too', async t => {
  const buffer = new SharedArrayBuffer(2 ** 31 + 65_536)
  const target = new Uint8Array(4096)
  for (const from of [0, 64, 2 ** 31 - 64, 2 ** 31 + 4096]) {
    for (const length of [1, 2, 3, 4, 130, WORD_LOOP_BYTES_MAX - 1, WORD_LOOP_BYTES_MAX]) {
      const bytes = randomBytes(length)
      new Uint8Array(buffer).set(bytes, from)
      target.fill(0xee)
      copyWords(new Int32Array(buffer), from, new Int32Array(target.buffer), 1024, length)
      const isCopied = bytes.equals(target.subarray(1024, 1024 + length))
      const before = target.subarray(0, 1024).every(byte => byte === 0xee)
      const after = target.subarray(1024 + length + 3).every(byte => byte === 0xee)
      t.ok(isCopied && before && after, `${length} bytes from ${from}`)
    }
  }
})
