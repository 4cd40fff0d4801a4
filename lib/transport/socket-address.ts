/** Linux's struct sockaddr_in, sockaddr_in6 and sockaddr_un in a DataView: what bind, connect, accept and getsockname want and give. */
import { isIPv6 } from 'node:net'
import { AF_INET, AF_INET6, AF_UNIX } from './libc.js'
import type { Address } from './loop.js'
import { plainAddress, UNIX_HOST } from './words.js'

/** The longer of those with a port. */
export const ADDRESS_BYTES = 28

export function familyOf(literal: string): number {
  return isIPv6(literal) ? AF_INET6 : AF_INET
}

/** Writes an address at the start of `view`; its length. */
export function writeAddress(view: DataView, literal: string, port: number): number {
  for (let i = 0; i < ADDRESS_BYTES; i++) view.setUint8(i, 0)
  view.setUint16(0, familyOf(literal), true)
  view.setUint16(2, port, false)
  if (!isIPv6(literal)) {
    literal.split('.').forEach((part, i) => {
      view.setUint8(4 + i, Number(part))
    })
    return 16
  }
  ipv6Words(literal).forEach((word, i) => {
    view.setUint16(8 + 2 * i, word, false)
  })
  return ADDRESS_BYTES
}

/** Writes the path of a unix socket at the start of `view`; the length of it all. It must fit into 107 bytes. */
export function writeUnixPath(view: DataView, path: string): number {
  const bytes = Buffer.from(path)
  view.setUint16(0, AF_UNIX, true)
  bytes.forEach((byte, i) => {
    view.setUint8(2 + i, byte)
  })
  view.setUint8(2 + bytes.length, 0)
  return 3 + bytes.length
}

export function readAddress(view: DataView): Address {
  if (view.getUint16(0, true) === AF_UNIX) return { host: UNIX_HOST, port: 0 }
  const port = view.getUint16(2, false)
  if (view.getUint16(0, true) === AF_INET) {
    return { host: [4, 5, 6, 7].map(at => view.getUint8(at)).join('.'), port }
  }
  const words = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i, false))
  return { host: plainAddress(ipv6Text(words)), port }
}

function ipv6Words(host: string): number[] {
  const plain = host
    .split('%')[0]!
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
      [(Number(a) << 8) | Number(b), (Number(c) << 8) | Number(d)].map(word => word.toString(16)).join(':'),
    )
  const [head = '', tail] = plain.split('::')
  const words = (text: string) => (text === '' ? [] : text.split(':').map(word => Number.parseInt(word, 16)))
  const front = words(head)
  const back = words(tail ?? '')
  return tail === undefined ? front : [...front, ...new Array(8 - front.length - back.length).fill(0), ...back]
}

function ipv6Text(words: number[]): string {
  const isMapped = words.slice(0, 5).every(word => word === 0) && words[5] === 0xffff
  if (isMapped) return `::ffff:${words[6]! >> 8}.${words[6]! & 255}.${words[7]! >> 8}.${words[7]! & 255}`
  return new URL(`http://[${words.map(word => word.toString(16)).join(':')}]`).hostname.slice(1, -1)
}
