/** What is hashed for a server, and which points come of it: a layout fills `out` from `at` on, `perHash` points a hash. */
import { crc32 } from './hash/crc32.js'
import { md5 } from './hash/md5.js'
import { sha1Word } from './hash/sha1.js'
import { type ByteHash, scratch, utf8 } from './hash/utf8.js'
import type { RingServer } from './server.js'

export interface Layout {
  readonly perHash: number
  write(out: Uint32Array, at: number, hashes: number, label: string, server: RingServer): void
}

/** `label-0`, `label-1` ...: the first `perHash` words of each md5. */
export const md5Words = (perHash: 1 | 3 | 4): Layout => ({
  perHash,
  write(out, at, hashes, label) {
    let next = at
    for (let i = 0; i < hashes; i++) {
      const words = md5(`${label}-${i}`)
      for (let word = 0; word < perHash; word++) out[next++] = words[word]!
    }
  },
})

/** `label-0`, `label-1` ...: one point a hash. */
export const oneOf = (hash: ByteHash): Layout => ({
  perHash: 1,
  write(out, at, hashes, label) {
    for (let i = 0; i < hashes; i++) out[at + i] = hashText(hash, `${label}-${i}`)
  },
})

/** dalli: `label:0`, `label:1` ... by sha1. */
export const dalliLayout: Layout = {
  perHash: 1,
  write(out, at, hashes, label) {
    for (let i = 0; i < hashes; i++) out[at + i] = hashText(sha1Word, `${label}:${i}`)
  },
}

/** npm ketama: the label, NUL, and a number that counts down to 1. */
export const npmKetamaLayout: Layout = {
  perHash: 1,
  write(out, at, hashes, label) {
    for (let i = 0; i < hashes; i++) out[at + i] = hashText(sha1Word, `${label}\0${hashes - i}`)
  },
}

/** Cache::Memcached::Fast: a chain of CRCs, each over the one before, all continued from that of host, NUL, port. */
export const perlFastLayout: Layout = {
  perHash: 1,
  write(out, at, hashes, _label, { host, port }) {
    const start = hashText(crc32, `${host}\0${port}`)
    const bytes = new Uint8Array(4)
    const view = new DataView(bytes.buffer)
    let point = 0
    for (let i = 0; i < hashes; i++) {
      view.setUint32(0, point, true)
      point = crc32(bytes, 4, start)
      out[at + i] = point
    }
  },
}

function hashText(hash: ByteHash, text: string): number {
  const length = utf8(text)
  return hash(scratch.bytes, length)
}
