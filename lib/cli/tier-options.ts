/**
 * What `--join` and the words beside it mean. Loaded only where they are given: what checks them is much of lib/tier, and a third of the
 * processor time of a start.
 */
import type { NodeTierOptions } from '../server/tier-member.js'
import { DamagedFile } from '../tier/atomic-file.js'
import { NodeFile } from '../tier/node-file.js'
import { parseAddress, parseStoreUrl } from '../tier/store.js'
import { inSomeRing, WEIGHT_MAX } from '../tier/topology.js'
import { NODE_ID_PATTERN } from '../tier/validate.js'
import { idSentence } from '../tier/wishes.js'
import type { Address } from '../transport/loop.js'
import { createNetLoop } from '../transport/net.js'
import { freePort } from './free-port.js'
import { Sentence } from './output.js'
import { needsLoopback, readSecret } from './secret.js'

export interface TierValues {
  join?: string
  nodeId?: string
  weight?: string
  advertise?: string
  peerHost?: string
  peerPort?: string
  peerAdvertise?: string
  adminPort?: string
  dataDir?: string
  peerSecretFile?: string
  standby?: boolean
  migrationRate?: string
}

/** `join`: the store's URL, which these words are about. */
export function tierOptions(join: string, values: TierValues, warn: (sentence: string) => void): NodeTierOptions {
  const store = parseStoreUrl(join)
  if (!store.ok) throw new Sentence(store.sentence)
  if (values.nodeId === undefined) throw new Sentence('--join needs --node-id: the name of this node in the tier')
  if (!NODE_ID_PATTERN.test(values.nodeId)) throw new Sentence(idSentence(values.nodeId))
  const secret = readSecret(values.peerSecretFile, warn)
  const peerHost = values.peerHost ?? '127.0.0.1'
  needsLoopback('--peer-host', peerHost, secret)
  return {
    storeUrl: join,
    nodeId: values.nodeId,
    weight: weightNumber('--weight', values.weight ?? '1'),
    advertise: advertised('--advertise', values.advertise),
    peerHost,
    peerPort: portNumber('--peer-port', values.peerPort ?? '0'),
    peerAdvertise: peerAdvertised(values.peerAdvertise),
    dataDir: values.dataDir ?? null,
    secret,
    standby: values.standby === true,
    migrationRate: values.migrationRate === undefined ? null : migrationRate(values.migrationRate),
  }
}

/**
 * For a node that may have any free port of `host`: the one of its earlier life, if that is free and a ring has the node at it, or will again as it
 * stepped aside. At another one it could not come back, or would come back to other keys. 0: any.
 */
export async function portAgain({ dataDir, nodeId, advertise }: NodeTierOptions, host: string): Promise<number> {
  if (dataDir === null || advertise !== null) return 0
  const loop = createNetLoop({ memory: new Uint8Array(0) })
  try {
    const topology = new NodeFile(dataDir).load()?.topology
    const node = topology?.nodes.find(({ id }) => id === nodeId)
    if (!topology || !node || (node.aside === undefined && !inSomeRing(topology, node.number))) return 0
    return (await freePort(loop, { host, port: node.port })) ?? 0
  } catch (error) {
    if (error instanceof DamagedFile) throw new Sentence(error.message)
    throw error
  } finally {
    loop.stop()
  }
}

/** A weight as people write it, for --weight and `tier reweight`. */
export function weightNumber(what: string, text: string): number {
  const weight = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (!(weight >= 0 && weight <= WEIGHT_MAX)) {
    throw new Sentence(`${what} ${text}: must be a whole number from 0 to ${WEIGHT_MAX}`)
  }
  return weight
}

function migrationRate(text: string): number {
  const megabytes = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (!(megabytes >= 0.01)) throw new Sentence(`--migration-rate ${text}: must be megabytes a second, 0.01 or more`)
  return megabytes * (1 << 20)
}

function portNumber(what: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port >= 0 && port <= 65_535)) throw new Sentence(`${what} ${text}: must be a port from 0 to 65535`)
  return port
}

function advertised(what: string, text: string | undefined): Address | null {
  if (text === undefined) return null
  const address = parseAddress(text)
  if (!address || address.port === 0) throw new Sentence(`${what} ${text}: must be host:port`)
  return address
}

function peerAdvertised(text: string | undefined): Address | null {
  const address = advertised('--peer-advertise', text)
  if (address && address.port >= 65_535) {
    throw new Sentence(`--peer-advertise ${text}: the port after it is needed too, so at most 65534`)
  }
  return address
}
