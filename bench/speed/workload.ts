/**
 * A workload is a file with a name, not a command in somebody's history: what is asked, how much at once, of which keys and
 * values. Files are JSON in bench/workloads; whatever is wrong with one is said in a sentence. Flags may change single fields.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { Sentence } from '../../lib/cli/output.js'
import { parseKeyOrder } from './key-order.js'
import { VALUE_BYTES_MIN } from './payload.js'
import { parseSizes } from './sizes.js'

const CONNECTIONS_MAX = 20_000
const IN_FLIGHT_MAX = 1000
const MULTI_GET_MAX = 1000
/** Three numbers a key are kept by each process of the load. */
const KEYS_MAX = 50_000_000

const whole = (least: number, most: number) => z.number().int().min(least).max(most)

export const workloadShape = z.strictObject({
  description: z.string().min(1).max(200).default('no description'),
  connections: whole(1, CONNECTIONS_MAX).default(50),
  /** Requests that one connection has under way at once. */
  inFlight: whole(1, IN_FLIGHT_MAX).default(1),
  /** Keys of each get. */
  multiGet: whole(1, MULTI_GET_MAX).default(1),
  keys: whole(1, KEYS_MAX).default(100_000),
  /** uniform | zipf:<exponent> | sequential */
  keyOrder: z.string().default('uniform'),
  /** <bytes> | fixed:<bytes> | lognormal:<mean>:<max> */
  valueSize: z.string().default('100'),
  /** Part of the requests that read, 0 to 1. */
  readShare: z.number().min(0).max(1).default(0.9),
  protocol: z.enum(['classic', 'meta']).default('classic'),
  /** Keys written before anything is measured; all of them if not said. */
  fill: whole(0, KEYS_MAX).optional(),
  /** -m of the servers that `bench compare` starts. */
  memoryMb: whole(8, 3072).default(256),
})

export type Workload = z.infer<typeof workloadShape> & { name: string }

/** From a clone and from the package alike: dist/bench/speed is three rooms below bench/workloads. */
export const WORKLOADS_DIR = fileURLToPath(new URL('../../../bench/workloads', import.meta.url))

export function workloadNames(): string[] {
  return readdirSync(WORKLOADS_DIR)
    .filter(file => file.endsWith('.json'))
    .map(file => basename(file, '.json'))
    .sort()
}

/** A name of bench/workloads, or the path of a file of one's own. `changes` are fields that flags set. */
export function readWorkload(nameOrPath: string, changes: Partial<Workload> = {}): Workload {
  const isPath = nameOrPath.endsWith('.json') || nameOrPath.includes(sep)
  const path = isPath ? nameOrPath : join(WORKLOADS_DIR, `${nameOrPath}.json`)
  if (!existsSync(path)) {
    const known = isPath ? 'there is no such file' : `there are ${workloadNames().join(', ')}`
    throw new Sentence(`workload "${nameOrPath}": ${known}`)
  }
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new Sentence(`workload "${nameOrPath}" is no JSON: ${(error as Error).message}`)
  }
  return checkedWorkload(basename(path, '.json'), json, changes)
}

export function checkedWorkload(name: string, json: unknown, changes: Partial<Workload> = {}): Workload {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new Sentence(`workload "${name}" must be one JSON object`)
  }
  const given: Record<string, unknown> = { ...json, ...defined(changes) }
  const result = workloadShape.safeParse(given)
  if (!result.success) {
    const [issue] = result.error.issues
    const field = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue?.path.join('.')
    const value = issue?.code === 'unrecognized_keys' ? '' : ` ${JSON.stringify(given[String(issue?.path[0])])}`
    throw new Sentence(`workload "${name}", ${field}${value}: ${plain(issue?.message ?? 'not valid')}`)
  }
  const workload = { ...result.data, name }
  refuseNonsense(workload)
  return workload
}

/** What no single field can know. */
function refuseNonsense(workload: Workload): void {
  const { name, keys, connections, inFlight, multiGet, readShare, protocol, fill = keys } = workload
  const wrong = (field: string, value: string | number, why: string) =>
    new Sentence(`workload "${name}", ${field} ${value}: ${why}`)
  const sizes = parseSizes(workload.valueSize)
  if (!sizes.ok) throw wrong('valueSize', workload.valueSize, sizes.why)
  const order = parseKeyOrder(workload.keyOrder)
  if (!order.ok) throw wrong('keyOrder', workload.keyOrder, order.why)
  if (sizes.largest < VALUE_BYTES_MIN) {
    throw wrong('valueSize', workload.valueSize, `a value needs ${VALUE_BYTES_MIN} bytes to tell its key and version`)
  }
  if (protocol === 'meta' && multiGet > 1) throw wrong('multiGet', multiGet, 'a meta get has one key')
  if (fill > keys) throw wrong('fill', fill, `there are only ${keys} keys`)
  const underWay = 2 * connections * inFlight
  if (readShare < 1 && keys < underWay) {
    const why = `with ${connections} connections and ${inFlight} in flight at least ${underWay}, a key is written by one at a time`
    throw wrong('keys', keys, why)
  }
}

function defined(changes: Partial<Workload>): Partial<Workload> {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
}

function plain(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1)
}
