/** Connections as memcached tells of them: in `watch connevents` (PROTOCOL D11) and `stats conns` (D9). Pure text. */
import type { Address, Connection } from '../transport/loop.js'
import { UNIX_HOST } from '../transport/words.js'

export type CloseReason = 'error' | 'normal' | 'idle_timeout' | 'shutdown'
export type ConnState =
  | 'conn_listening'
  | 'conn_read'
  | 'conn_nread'
  | 'conn_parse_cmd'
  | 'conn_mwrite'
  | 'conn_watch'
  | 'conn_io_queue'
  | 'conn_closing'

/** A connection, or a place where they come from. */
export interface Conn {
  number: number
  addr: string
  /** Null for a listener. */
  listenAddr: string | null
  state: ConnState
  idleSec: number
  isUdp: boolean
}

export const connNew = (connection: Connection): string =>
  `type=conn_new ${endpoint(connection)} cfd=${numberOf(connection)}`

export const connClose = (connection: Connection, reason: CloseReason): string =>
  `type=conn_close ${endpoint(connection)} reason=${reason} cfd=${numberOf(connection)}`

function endpoint({ remote }: Connection): string {
  return isUnix(remote) ? 'rip=unix rport=0 transport=local' : `rip=${remote.host} rport=${remote.port} transport=tcp`
}

export const isUnix = ({ host }: Address): boolean => host === UNIX_HOST

/** What watchers and `stats conns` name it by: the kernel's number where the loop knows it. */
export const numberOf = (connection: Connection): number => connection.number ?? 0

export function addrText({ host, port }: Address, transport: 'tcp' | 'udp'): string {
  return host.includes(':') ? `${transport}6:[${host}]:${port}` : `${transport}:${host}:${port}`
}

/** The reply to `stats conns`. */
export function connsReply(conns: readonly Conn[]): string {
  const sorted = [...conns].sort((a, b) => a.number - b.number)
  const lines = sorted.flatMap(({ number, addr, listenAddr, state, idleSec, isUdp }) => [
    ...(isUdp ? [`${number}:UDP UDP`] : []),
    `${number}:addr ${addr}`,
    ...(listenAddr === null ? [] : [`${number}:listen_addr ${listenAddr}`]),
    `${number}:state ${state}`,
    `${number}:secs_since_last_cmd ${idleSec}`,
  ])
  return `${lines.map(line => `STAT ${line}\r\n`).join('')}END\r\n`
}
