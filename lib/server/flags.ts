/**
 * memcached's own flags (PROTOCOL D15) as one table: those that this server has, and those that it knows but does not
 * have, each with its reason, so that nobody believes in an option that does nothing. From text to ServerOptions, or one
 * sentence. Pure; the command line (lib/cli/server.ts) hands the texts in.
 */
import { availableParallelism } from 'node:os'
import { LOOP_WISHES, type LoopWish } from '../transport/choose.js'
import { extendedOptions } from './extended-flags.js'
import { type ListenPlace, listenPlaces, type UnixPlace } from './listen-flags.js'
import { type LruFlags, lruFlags } from './lru-flags.js'
import { type SlabFlags, slabFlags } from './slab-flags.js'
import { type TlsFlags, tlsFlags } from './tls-files.js'

export interface ServerOptions {
  /** Where clients connect by TCP; none with a unix socket alone. */
  listen: ListenPlace[]
  /** Where datagrams come; none by default. */
  udp: ListenPlace[]
  unix: UnixPlace | null
  memoryLimitMb: number
  threads: number
  itemSizeMax: number
  slabs: SlabFlags
  maxConnections: number
  factor: number
  chunkSizeMin: number
  evictions: boolean
  cas: boolean
  flush: boolean
  /** -A: the shutdown command ends the process. */
  shutdown: boolean
  /** -X turns off what shows keys: dumps, and figures by prefix. */
  dumps: boolean
  /** -W turns it off. */
  watch: boolean
  /** -D, which also begins to count by prefix; null: a colon, and nothing is counted until somebody says so. */
  prefixDelimiter: string | null
  /** Bytes of lines that wait for one watcher, and of entries that one thread has not handed out. */
  watcherLogBytes: number
  workerLogBytes: number
  /** debugtime is a command. */
  debugCommands: boolean
  lru: LruFlags
  reqsPerEvent: number
  backlog: number
  /** -B, as memcached names it. */
  protocol: 'ascii' | 'auto-negotiate'
  verbosity: number
  loop: LoopWish
  /** 0: nobody is too idle. */
  idleTimeoutSec: number
  daemon: boolean
  pidFile: string | null
  /** Whom to become once the ports are open, when started by root. */
  user: string | null
  /** -Y: clients say who they are first. */
  authFile: string | null
  /** -Z with its words of -o. */
  tls: TlsFlags | null
  /** -e; null: a restart begins empty. */
  memoryFile: string | null
  /** Flags that were taken and do nothing here, by name. */
  withoutEffect: string[]
}

export interface Flag {
  short?: string
  long: string
  /** Name of its argument; none for a switch. */
  argument?: string
  /** May be given more than once. */
  repeatable?: boolean
  /** For --help; a flag without a text is known but refused. */
  help?: string
  /** Why a known flag is refused. */
  refused?: string
}

/** One process's items live in one 32-bit address space, beside tables and buffers (DESIGN 5). */
export const MEMORY_LIMIT_MB_MAX = 3072
/** Beside it the largest item may be half of -m at most, so with the default -I it is 2. */
export const MEMORY_LIMIT_MB_MIN = 1
const THREADS_MAX = 64
const KILO = 1024
const MEGA = 1024 * 1024
const ITEM_SIZE_MIN = KILO
const ITEM_SIZE_MAX = 1024 * MEGA

export const FLAGS: readonly Flag[] = [
  {
    short: 'p',
    long: 'port',
    argument: 'num',
    help: 'TCP port to listen on, -1 for any free one, 0 for none beside -s or -U (default: 11211)',
  },
  {
    short: 'l',
    long: 'listen',
    argument: 'addr',
    repeatable: true,
    help: 'addresses to listen on, host or host:port; several by commas or by several -l (default: 127.0.0.1)',
  },
  { short: 'm', long: 'memory-limit', argument: 'num', help: 'item memory in megabytes (default: 64)' },
  { short: 'M', long: 'disable-evictions', help: 'answer an error instead of evicting when memory is full' },
  { short: 'c', long: 'conn-limit', argument: 'num', help: 'max simultaneous connections (default: 1024)' },
  {
    short: 't',
    long: 'threads',
    argument: 'num',
    help: 'number of worker threads (default: 4, or the number of processors if that is less)',
  },
  { short: 'I', long: 'max-item-size', argument: 'num', help: 'max item size, 1k to 1024m (default: 1m)' },
  { short: 'f', long: 'slab-growth-factor', argument: 'num', help: 'chunk size growth factor (default: 1.25)' },
  { short: 'n', long: 'slab-min-size', argument: 'bytes', help: 'min space for key, value and flags (default: 48)' },
  { short: 'C', long: 'disable-cas', help: 'do without cas: gets answers 0' },
  { short: 'F', long: 'disable-flush-all', help: 'turn the flush_all command off' },
  {
    short: 'R',
    long: 'max-reqs-per-event',
    argument: 'num',
    help: 'share of one connection before others have their turn (default: 20)',
  },
  { short: 'b', long: 'listen-backlog', argument: 'num', help: 'backlog queue limit (default: 1024)' },
  { short: 'U', long: 'udp-port', argument: 'num', help: 'UDP port to listen on (default: 0, off)' },
  { short: 'B', long: 'protocol', argument: 'name', help: 'ascii or auto, which is the same here' },
  {
    short: 'o',
    long: 'extended',
    argument: 'list',
    repeatable: true,
    help: 'more options, by commas: idle_timeout=seconds (default: 0, off); docs/COMPATIBILITY.md has the others',
  },
  {
    short: 's',
    long: 'unix-socket',
    argument: 'file',
    help: 'unix socket to listen on; no TCP then, unless -p is given too',
  },
  { short: 'a', long: 'unix-mask', argument: 'mask', help: 'permissions of the unix socket, octal (default: 0700)' },
  { short: 'A', long: 'enable-shutdown', help: 'take the shutdown command' },
  { short: 'd', long: 'daemon', help: 'run in the background; the command ends when the node is ready' },
  { short: 'u', long: 'user', argument: 'name', help: 'become this user once the ports are open (when run as root)' },
  { short: 'P', long: 'pidfile', argument: 'file', help: 'write the process id to this file' },
  { short: 'r', long: 'enable-coredumps', refused: 'set the core limit with ulimit before the start' },
  { short: 'k', long: 'lock-memory', refused: 'memory is not locked' },
  { short: 'L', long: 'enable-largepages', refused: 'large pages are not supported' },
  {
    short: 'D',
    long: 'stat-prefix',
    argument: 'char',
    help: 'count by what stands before this character in a key, for stats detail (default: ":", and not counted)',
  },
  { short: 'S', long: 'enable-sasl', refused: 'SASL belongs to the binary protocol, which is not spoken' },
  {
    short: 'Y',
    long: 'auth-file',
    argument: 'file',
    help: 'clients authenticate first, by user:password lines of this file; SIGHUP reads it again',
  },
  {
    short: 'X',
    long: 'disable-dumping',
    help: 'turn the commands off that show keys: stats detail, metadump, mgdump, cachedump',
  },
  { short: 'W', long: 'disable-watch', help: 'turn the watch command off' },
  {
    short: 'e',
    long: 'memory-file',
    argument: 'file',
    help: 'warm restart: what is held is written there at SIGUSR1 or "shutdown graceful" (in a tier: after tier step-aside --quick), and read back at the next start',
  },
  {
    short: 'Z',
    long: 'enable-ssl',
    help: 'TLS, with -o ssl_chain_cert=file,ssl_key=file; a listener "-l notls:host:port" does without',
  },
  { short: 'N', long: 'napi-ids', argument: 'num', refused: 'NAPI ids are not supported' },
  { short: 'i', long: 'license', refused: 'the licence is in the file LICENSE' },
  { long: 'debug-commands' },
  { long: 'loop', argument: 'kind', help: 'event loop: auto, net, epoll or uring (default: auto)' },
]

/** Values by long name: text, texts of what may be repeated, true for a switch, or a number for the repeatable -v. */
export type FlagValues = Record<string, string | boolean | number | string[] | undefined>

export type Parsed<T> = { ok: true; options: T } | { ok: false; sentence: string }

class BadFlag extends Error {}

export function parseFlags(values: FlagValues): Parsed<ServerOptions> {
  try {
    for (const flag of FLAGS) {
      if (flag.refused !== undefined && values[flag.long] !== undefined)
        throw new BadFlag(`${named(flag)}: ${flag.refused}`)
    }
    refuseUnspoken(values)
    return { ok: true, options: serverOptions(values) }
  } catch (error) {
    if (error instanceof BadFlag) return { ok: false, sentence: error.message }
    throw error
  }
}

function serverOptions(values: FlagValues): ServerOptions {
  const memoryLimitMb = memoryLimit(values['memory-limit'])
  const places = listenPlaces({
    listen: texts(values.listen),
    port: values.port === undefined ? null : String(values.port) === '0' ? 'off' : portNumber(values.port),
    udpPort: udpPort(values),
    unixSocket: text(values['unix-socket']),
    unixMask: text(values['unix-mask']),
  })
  if (typeof places === 'string') throw new BadFlag(places)
  const extended = extendedOptions(texts(values.extended))
  if (!extended.ok) throw new BadFlag(extended.sentence)
  const itemSizeMax = itemSize(values['max-item-size'], memoryLimitMb)
  const slabs = slabFlags(extended.values, itemSizeMax)
  if (typeof slabs === 'string') throw new BadFlag(slabs)
  const tls = tlsFlags(values['enable-ssl'] === true, extended.values)
  if (typeof tls === 'string') throw new BadFlag(tls)
  const lru = lruFlags(extended.values)
  if (typeof lru === 'string') throw new BadFlag(lru)
  if (tls && (values.loop === 'epoll' || values.loop === 'uring'))
    throw new BadFlag(`--loop ${values.loop}: TLS needs the net loop, which -Z takes by itself`)
  return {
    listen: places.tcp,
    udp: places.udp,
    unix: places.unix,
    memoryLimitMb,
    threads: whole(values, 'threads', Math.min(4, availableParallelism()), 1, THREADS_MAX),
    itemSizeMax,
    slabs,
    maxConnections: whole(values, 'conn-limit', 1024, 1, 1_000_000),
    factor: growthFactor(values['slab-growth-factor']),
    chunkSizeMin: whole(values, 'slab-min-size', 48, 1, 64 * KILO),
    evictions: !values['disable-evictions'],
    cas: !values['disable-cas'],
    flush: !values['disable-flush-all'],
    shutdown: values['enable-shutdown'] === true,
    dumps: !values['disable-dumping'],
    watch: !values['disable-watch'],
    prefixDelimiter: prefixDelimiter(values['stat-prefix']),
    watcherLogBytes: logBytes('watcher_logbuf_size', 256, extended.values),
    workerLogBytes: logBytes('worker_logbuf_size', 64, extended.values),
    debugCommands: values['debug-commands'] === true,
    lru,
    reqsPerEvent: whole(values, 'max-reqs-per-event', 20, 1, 1_000_000),
    protocol: values.protocol === 'ascii' ? 'ascii' : 'auto-negotiate',
    backlog: whole(values, 'listen-backlog', 1024, 1, 65_535),
    verbosity: typeof values.verbose === 'number' ? values.verbose : 0,
    loop: loopKind(values.loop),
    idleTimeoutSec: idleTimeout(extended.values.get('idle_timeout')),
    daemon: values.daemon === true,
    pidFile: text(values.pidfile) ?? null,
    user: text(values.user) ?? null,
    authFile: text(values['auth-file']) ?? null,
    tls,
    memoryFile: text(values['memory-file']) ?? null,
    withoutEffect: extended.idle.map(name => `-o ${name}`),
  }
}

function text(value: FlagValues[string]): string | undefined {
  return value === undefined ? undefined : String(value)
}

function texts(value: FlagValues[string]): string[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [String(value)]
}

/** Flags of memcached of which only one value is true here. */
function refuseUnspoken(values: FlagValues): void {
  const { protocol } = values
  if (protocol !== undefined && protocol !== 'ascii' && protocol !== 'auto') {
    throw new BadFlag(`-B ${protocol}: only the ascii protocol is spoken`)
  }
}

function named({ short, long }: Flag): string {
  return short ? `-${short} (--${long})` : `--${long}`
}

/** `-p 11211` as people name it. */
function flagText(long: string, value: unknown): string {
  const short = FLAGS.find(flag => flag.long === long)?.short
  return `${short ? `-${short}` : `--${long}`} ${String(value)}`
}

function whole(values: FlagValues, long: string, otherwise: number, min: number, max: number): number {
  const value = values[long]
  if (value === undefined) return otherwise
  const number = /^\d{1,15}$/.test(String(value)) ? Number(value) : Number.NaN
  if (!(number >= min && number <= max)) {
    throw new BadFlag(`${flagText(long, value)}: must be a whole number from ${min} to ${max}`)
  }
  return number
}

function memoryLimit(value: FlagValues[string]): number {
  if (value === undefined) return 64
  const text = flagText('memory-limit', value)
  if (!/^\d{1,15}$/.test(String(value))) throw new BadFlag(`${text}: must be a number of megabytes`)
  const megabytes = Number(value)
  if (megabytes < MEMORY_LIMIT_MB_MIN) throw new BadFlag(`${text}: too small, give at least ${MEMORY_LIMIT_MB_MIN}`)
  if (megabytes > MEMORY_LIMIT_MB_MAX) {
    throw new BadFlag(`${text}: too large, a node holds at most ${MEMORY_LIMIT_MB_MAX}: run more nodes on this machine`)
  }
  return megabytes
}

/** PROTOCOL D2: 1 KiB to 1 GiB, at most half of -m. */
function itemSize(value: FlagValues[string], memoryLimitMb: number): number {
  if (value === undefined) {
    if (memoryLimitMb * MEGA >= 2 * MEGA) return MEGA
    throw new BadFlag(`-m ${memoryLimitMb}: too small for items of 1m, give at least 2 or a smaller -I`)
  }
  const text = flagText('max-item-size', value)
  const match = /^(\d{1,12})([kKmM]?)$/.exec(String(value))
  const unit = match?.[2]?.toLowerCase()
  const bytes = match ? Number(match[1]) * (unit === 'k' ? KILO : unit === 'm' ? MEGA : 1) : Number.NaN
  if (!(bytes >= ITEM_SIZE_MIN && bytes <= ITEM_SIZE_MAX)) throw new BadFlag(`${text}: must be from 1k to 1024m`)
  if (bytes * 2 > memoryLimitMb * MEGA) throw new BadFlag(`${text}: must be at most half of -m ${memoryLimitMb}`)
  return bytes
}

function growthFactor(value: FlagValues[string]): number {
  if (value === undefined) return 1.25
  const factor = Number(value)
  if (!(factor > 1 && factor <= 10)) {
    throw new BadFlag(`${flagText('slab-growth-factor', value)}: must be greater than 1 and at most 10`)
  }
  return factor
}

/** memcached's tests ask with -1 for any free port. */
function portNumber(value: FlagValues[string]): number {
  if (value === '-1') return 0
  return whole({ port: value }, 'port', 11_211, 0, 65_535)
}

/** Null: off, which 0 means here, as in memcached. -1 is any free port, for tests. */
function udpPort(values: FlagValues): number | null {
  const asked = values['udp-port']
  const port = asked === '-1' ? 0 : whole(values, 'udp-port', 0, 0, 65_535)
  if (asked !== '-1' && port === 0) return null
  if (values['auth-file'] === undefined) return port
  throw new BadFlag(`-U ${String(asked)}: a datagram cannot authenticate, as -Y wants`)
}

/** memcached's limit is a whole number of seconds. */
function idleTimeout(value: string | undefined): number {
  if (value === undefined) return 0
  if (!/^\d{1,9}$/.test(value)) throw new BadFlag(`-o idle_timeout=${value}: must be a whole number of seconds`)
  return Number(value)
}

function prefixDelimiter(value: FlagValues[string]): string | null {
  if (value === undefined) return null
  // memcached takes the first character of what it gets.
  if (!/^[!-~]/.test(String(value))) throw new BadFlag(`-D ${String(value)}: give one visible character`)
  return String(value).charAt(0)
}

/** Given in KiB, as in memcached. */
function logBytes(name: string, otherwise: number, values: ReadonlyMap<string, string>): number {
  const text = values.get(name) ?? String(otherwise)
  const kilobytes = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (!(kilobytes >= 1 && kilobytes <= 16_384)) {
    throw new BadFlag(`-o ${name}=${text}: must be a number of kilobytes from 1 to 16384`)
  }
  return kilobytes * KILO
}

function loopKind(value: FlagValues[string]): ServerOptions['loop'] {
  const wish = LOOP_WISHES.find(one => one === (value ?? 'auto'))
  if (wish) return wish
  throw new BadFlag(`--loop ${String(value)}: must be ${LOOP_WISHES.slice(0, -1).join(', ')} or ${LOOP_WISHES.at(-1)}`)
}
