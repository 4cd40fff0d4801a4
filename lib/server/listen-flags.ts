/**
 * Where a node listens for clients, from the texts of -l, -p, -U, -s and -a: addresses with ports, and a unix socket. Pure;
 * names are looked up later (lib/transport/resolve.ts).
 */
export interface ListenPlace {
  /** A name, or an address without brackets. */
  host: string
  /** 0: any free port. */
  port: number
  /** No TLS here, whatever -Z says for the others. */
  isPlain?: true
}

export interface UnixPlace {
  path: string
  /** Permissions of the socket's file. */
  mode: number
}

export interface ListenFlags {
  listen: readonly string[]
  /** Null: not given. Off: 0 was given, which is any free port when there is no other way in. */
  port: number | 'off' | null
  /** Null: no datagrams. Without a TCP port it is that one too, as in memcached. */
  udpPort: number | null
  unixSocket: string | undefined
  unixMask: string | undefined
}

export interface Places {
  tcp: ListenPlace[]
  udp: ListenPlace[]
  unix: UnixPlace | null
}

const HOST = '127.0.0.1'
const PORT = 11_211
const MODE = 0o700
/** Linux's sockaddr_un has room for 108 bytes with the final zero. */
const UNIX_PATH_MAX = 107

/** Throws nothing: a sentence when a text cannot be. */
export function listenPlaces(flags: ListenFlags): Places | string {
  const unix = flags.unixSocket === undefined ? null : unixPlace(flags.unixSocket, flags.unixMask)
  if (typeof unix === 'string') return unix
  const texts = flags.listen.length > 0 ? flags.listen.flatMap(list => list.split(',')) : [HOST]
  const tcp: ListenPlace[] = []
  const udp: ListenPlace[] = []
  for (const text of texts) {
    const place = listenPlace(text, flags.port === 'off' ? 0 : (flags.port ?? flags.udpPort ?? PORT))
    if (!place) return `-l ${text}: must be an address, host or host:port`
    tcp.push(place)
    // A port of its own is that of both, as in memcached.
    if (flags.udpPort !== null) udp.push(listenPlace(text, flags.udpPort) as ListenPlace)
  }
  // As memcached does: a unix socket is instead of TCP, unless a port was asked for; and port 0 is none, where there is
  // another way in.
  const isOff = flags.port === 'off' && (unix !== null || udp.length > 0)
  return { tcp: isOff || (unix && flags.port === null) ? [] : tcp, udp, unix }
}

const PLAIN = 'notls:'

function listenPlace(text: string, port: number): ListenPlace | null {
  if (text.startsWith(PLAIN)) {
    const place = listenPlace(text.slice(PLAIN.length), port)
    return place && { ...place, isPlain: true }
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s,:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  if (match) {
    const own = match[3] === undefined ? port : Number(match[3])
    return own > 65_535 ? null : { host: (match[1] ?? match[2]) as string, port: own }
  }
  // An IPv6 address without brackets has no room for a port.
  return /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text) ? { host: text, port } : null
}

function unixPlace(path: string, mask: string | undefined): UnixPlace | string {
  if (path === '') return '-s: give the path of a socket'
  const bytes = Buffer.byteLength(path)
  if (bytes > UNIX_PATH_MAX) return `-s ${path}: a path of ${bytes} bytes is too long, ${UNIX_PATH_MAX} fit`
  if (mask === undefined) return { path, mode: MODE }
  if (!/^0?[0-7]{1,3}$/.test(mask)) return `-a ${mask}: must be octal permissions such as 0700`
  return { path, mode: Number.parseInt(mask, 8) }
}
