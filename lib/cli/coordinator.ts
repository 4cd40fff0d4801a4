/** `continuum coordinator`: serves the embedded topology store and runs the controller. */
import type { Command } from 'commander'
import { isDialect, MD5_DIALECTS } from '../ketama/index.js'
import { DamagedFile } from '../tier/atomic-file.js'
import { Coordinator } from '../tier/coordinator.js'
import { DiskFile } from '../tier/embedded-file.js'
import { AWAY_AFTER_DEFAULT_MS, AWAY_AFTER_MAX_MS, AWAY_AFTER_MIN_MS } from '../tier/outages.js'
import { formatAddress, parseAddress } from '../tier/store.js'
import { emptyTopology, type Topology } from '../tier/topology.js'
import type { Address } from '../transport/loop.js'
import { createNetLoop } from '../transport/net.js'
import { createLog, onEnd, Sentence, say } from './output.js'
import { needsLoopback, readSecret } from './secret.js'

interface CoordinatorValues {
  listen: string
  dataDir: string
  tier: string
  dialect: string
  points: string
  replicas: string
  awayAfter?: string
  peerSecretFile?: string
  verbose: number
  jsonReady?: boolean
  withParent?: boolean
}

export function coordinatorCommand(command: Command): void {
  command
    .requiredOption('--listen <host:port>', 'where nodes and the command line reach it')
    .requiredOption('--data-dir <dir>', 'where the topology is kept')
    .option('--tier <name>', 'name of a tier that starts for the first time', 'tier')
    .option('--dialect <name>', 'ring dialect of a tier that starts for the first time', 'libmemcached-weighted')
    .option('--points <n>', 'ring points per server of a tier that starts for the first time', '160')
    .option('--replicas <n>', 'copies of each key', '1')
    .option(
      '--away-after <seconds>',
      `declare a node away when it was not heard for so long, 0: never (default: ${AWAY_AFTER_DEFAULT_MS / 1000}); lower ends an outage sooner, and takes slow nodes for dead ones`,
    )
    .option('--peer-secret-file <file>', 'secret that peers must know; without one only loopback is served')
    .option('-v, --verbose', 'say what happens; repeat for more', (_, before: number) => before + 1, 0)
    .option('--json-ready', 'print the ready line as JSON')
    .action((values: CoordinatorValues) => runCoordinator(values))
}

async function runCoordinator(values: CoordinatorValues): Promise<void> {
  const listen = listenAddress(values.listen)
  const log = createLog(values.verbose, 'coordinator')
  const secret = readSecret(values.peerSecretFile, sentence => log.warn(sentence))
  needsLoopback('--listen', listen.host, secret)
  const coordinator = openCoordinator(values, listen, secret, sentence => log.info(sentence))
  const port = await new Promise<number>((resolve, reject) =>
    coordinator.start(resolve, sentence => reject(new Sentence(sentence))),
  )
  const store = `embedded://${formatAddress({ host: listen.host, port })}`
  onEnd(() => {
    coordinator.stop()
    // What was said last is on its way through the sockets; nothing else keeps the process.
    setImmediate(() => process.exit(0))
  }, values.withParent === true)
  say(values.jsonReady ? JSON.stringify({ port, store }) : `continuum coordinator: ready on ${store}`)
}

function openCoordinator(
  values: CoordinatorValues,
  listen: Address,
  secret: string | null,
  onEvent: (sentence: string) => void,
): Coordinator {
  const loop = createNetLoop({ memory: new Uint8Array(0) })
  const self = { id: 'coordinator', incarnation: String(Date.now()) }
  try {
    const file = new DiskFile(values.dataDir)
    const awayAfterMs = awayAfter(values.awayAfter)
    return new Coordinator({ loop, file, first: firstTopology(values), listen, secret, self, onEvent, awayAfterMs })
  } catch (error) {
    if (error instanceof DamagedFile) throw new Sentence(error.message)
    throw error
  }
}

/** Seconds as people write them, in ms. */
function awayAfter(text: string | undefined): number {
  if (text === undefined) return AWAY_AFTER_DEFAULT_MS
  const ms = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) * 1000 : Number.NaN
  if (ms === 0 || (ms >= AWAY_AFTER_MIN_MS && ms <= AWAY_AFTER_MAX_MS)) return ms
  const bounds = `${AWAY_AFTER_MIN_MS / 1000} to ${AWAY_AFTER_MAX_MS / 1000}`
  throw new Sentence(`--away-after ${text}: must be 0 (never) or seconds from ${bounds}`)
}

function firstTopology({ tier, dialect, points, replicas }: CoordinatorValues): Topology {
  if (!isDialect(dialect) || !MD5_DIALECTS.includes(dialect)) {
    const why = isDialect(dialect) ? 'a tier routes by md5 only' : 'unknown'
    throw new Sentence(`--dialect ${dialect}: ${why}, give one of ${MD5_DIALECTS.join(', ')}`)
  }
  if (replicas !== '1') throw new Sentence(`--replicas ${replicas}: only 1 is supported yet`)
  const pointsPerServer = Number(points)
  if (
    !Number.isInteger(pointsPerServer) ||
    pointsPerServer < 4 ||
    pointsPerServer > 1000 ||
    pointsPerServer % 4 !== 0
  ) {
    throw new Sentence(`--points ${points}: must be a multiple of 4 from 4 to 1000`)
  }
  if (tier === '' || tier.length > 100) throw new Sentence(`--tier "${tier}": must have 1 to 100 characters`)
  return emptyTopology(tier, dialect, pointsPerServer)
}

function listenAddress(text: string): Address {
  const address = parseAddress(text)
  if (!address) throw new Sentence(`--listen ${text}: must be host:port`)
  return address
}
