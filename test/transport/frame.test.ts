/** Frames come out as they went in, wherever the bytes were cut; what is no frame is refused at once. */
import t from 'tap'
import { encodeFrame, FRAME_BYTES_MAX, type Frame, FrameDecoder, FrameError } from '../../lib/transport/frame.js'
import { mulberry32 } from '../../lib/transport/simulated.js'

const FRAMES: Frame[] = [
  { type: 16, hops: 0, id: 1, epoch: 7, clock: 0xffff_fff0, payload: Buffer.from('get a\r\n') },
  { type: 17, hops: 8, id: 0xffff_ffff, epoch: 0xfffff, payload: Buffer.alloc(0) },
  { type: 255, hops: 255, id: 0, epoch: 0, payload: Buffer.alloc(300, 'x') },
  { type: 48, hops: 1, id: 2, epoch: 3, payload: Buffer.from([0]) },
]

function text({ type, hops, id, epoch, clock = 0, payload }: Frame): string {
  return `${type} ${hops} ${id} ${epoch} ${clock} ${Buffer.from(payload).toString('hex')}`
}

function decodeParts(parts: Uint8Array[]): string[] {
  const decoder = new FrameDecoder()
  const out: string[] = []
  for (const part of parts) {
    // As a loop does it: the bytes are overwritten as soon as the decoder has said null.
    const borrowed = Buffer.from(part)
    decoder.feed(borrowed)
    for (let frame = decoder.next(); frame; frame = decoder.next()) out.push(text(frame))
    borrowed.fill(0xee)
  }
  return out
}

t.test('cut at every byte, into two and three parts, and byte by byte', async t => {
  const bytes = Buffer.concat(FRAMES.map(encodeFrame))
  const expected = FRAMES.map(text)
  for (let a = 0; a <= bytes.length; a++) {
    const got = decodeParts([bytes.subarray(0, a), bytes.subarray(a)])
    if (got.join() !== expected.join()) t.same(got, expected, `cut at ${a}`)
    const b = Math.min(bytes.length, a + 17)
    const three = decodeParts([bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)])
    if (three.join() !== expected.join()) t.same(three, expected, `cut at ${a} and ${b}`)
  }
  t.same(decodeParts([...bytes].map(byte => Buffer.from([byte]))), expected, 'byte by byte')
})

t.test('random sizes in random parts, kept in the middle', async t => {
  const seed = Number(process.env.SEED ?? 11)
  const random = mulberry32(seed)
  for (let round = 0; round < 50; round++) {
    const frames = Array.from({ length: 10 }, (_, id) => {
      const payload = Buffer.alloc(Math.floor(10 ** (random() * 5)), id)
      return { type: 1, hops: 0, id, epoch: round, payload }
    })
    const bytes = Buffer.concat(frames.map(encodeFrame))
    const decoder = new FrameDecoder()
    const got: string[] = []
    for (let at = 0; at < bytes.length; ) {
      const borrowed = Buffer.from(bytes.subarray(at, at + Math.floor(10 ** (random() * 5)) + 1))
      at += borrowed.length
      decoder.feed(borrowed)
      for (;;) {
        if (random() < 0.3) {
          decoder.keep()
          break
        }
        const frame = decoder.next()
        if (!frame) break
        got.push(text(frame))
      }
      borrowed.fill(0xee)
    }
    for (let frame = decoder.next(); frame; frame = decoder.next()) got.push(text(frame))
    if (got.join() !== frames.map(text).join()) t.fail(`SEED=${seed}, round ${round}`)
  }
  t.pass('fifty rounds')
})

t.test('a length that cannot be', async t => {
  for (const length of [0, 15, FRAME_BYTES_MAX + 1, 0xffff_ffff, 0x20746567]) {
    const head = Buffer.alloc(16)
    head.writeUInt32LE(length, 0)
    const whole = new FrameDecoder(1 << 20)
    whole.feed(head)
    t.throws(() => whole.next(), new FrameError(`a frame says it is ${length} bytes long, allowed are 16 to 1048576`))
  }
})

t.test('a request without room for its clock', async t => {
  const decoder = new FrameDecoder()
  const bytes = encodeFrame({ type: 17, hops: 0, id: 1, epoch: 1, payload: Buffer.alloc(3) })
  bytes[4] = 16
  decoder.feed(bytes)
  t.throws(() => decoder.next(), new FrameError('a frame of type 16 says it is 19 bytes long'))
})

t.test('a large frame takes memory only as its bytes arrive, and is not copied over and over', async t => {
  const payload = Buffer.alloc(64 << 20, 'v')
  const bytes = encodeFrame({ type: 1, hops: 0, id: 1, epoch: 1, payload })
  const decoder = new FrameDecoder()
  const before = process.memoryUsage().arrayBuffers
  decoder.feed(bytes.subarray(0, 5000))
  t.equal(decoder.next(), null)
  t.ok(process.memoryUsage().arrayBuffers - before < 1 << 20, 'its announced length is not taken at its word')
  let got: Frame | null = null
  for (let at = 5000; at < bytes.length; at += 60_000) {
    decoder.feed(bytes.subarray(at, at + 60_000))
    got = decoder.next()
  }
  t.ok(got && Buffer.from(got.payload).equals(payload))
})
