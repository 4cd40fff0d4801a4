/** `continuum server`: one node. Checks what was asked for, starts it, says when it is ready, ends it when told to. */
import { type Command, Option } from 'commander'
import { FLAGS, type FlagValues, parseFlags, type ServerOptions } from '../server/flags.js'
import type { Ears, NodeLog } from '../server/node.js'
import type { NodeTierOptions } from '../server/tier-member.js'
import type { Address } from '../transport/loop.js'
import { daemonReport, startDaemon } from './daemon.js'
import { complain, createLog, keepSignals, onEnd, Sentence, say } from './output.js'
import { keepPidFile } from './pid-file.js'
import { writePortFile } from './port-file.js'
import type { TierValues } from './tier-options.js'
import { become, userToBecome } from './user.js'

interface ServerValues extends TierValues {
  verbose: number
  jsonReady?: boolean
  withParent?: boolean
}

export function serverCommand(command: Command): void {
  for (const flag of FLAGS) {
    const names = `${flag.short ? `-${flag.short}, ` : ''}--${flag.long}${flag.argument ? ` <${flag.argument}>` : ''}`
    const option = new Option(names, flag.help)
    if (flag.repeatable) option.argParser((text: string, before: string[] | undefined) => [...(before ?? []), text])
    command.addOption(flag.help === undefined ? option.hideHelp() : option)
  }
  command
    .option('-v, --verbose', 'say what happens; repeat for more', (_, before: number) => before + 1, 0)
    .option('--join <store url>', 'topology store of the tier to join, embedded://host:port')
    .option('--node-id <id>', 'name of this node in the tier')
    .option('--weight <n>', 'share of the ring; 0 makes a router (default: 1)')
    .option('--advertise <host:port>', 'address that clients use (default: the listening one)')
    .option('--peer-host <host>', 'address that other nodes use (default: 127.0.0.1)')
    .option('--peer-port <port>', 'port for other nodes (default: any free one)')
    .option(
      '--peer-advertise <host:port>',
      'where other nodes reach it, at this port and the next (default: where it listens)',
    )
    .option('--data-dir <dir>', 'where this node keeps what it must remember')
    .option('--peer-secret-file <file>', 'secret that peers share; without one only loopback is used')
    .option('--standby', 'join without keys, wait for tier reweight')
    .option('--migration-rate <MB/s>', 'most that this node takes from each other one in the background')
    .addOption(new Option('--admin-port <port>').hideHelp())
    .option('--json-ready', 'print the ready line as JSON')
    .action((_: unknown, self: Command) => runServer(self))
}

async function runServer(command: Command): Promise<void> {
  const values = command.opts<ServerValues>()
  const report = daemonReport()
  const parsed = parseFlags(flagValues(command))
  if (!parsed.ok) throw new Sentence(parsed.sentence)
  let level = () => values.verbose
  const log = leveled(createLog(3, values.nodeId ?? 'server'), () => level())
  const warn = (sentence: string) => log.warn(sentence)
  const server = parsed.options
  const tier = await joined(values, server, warn)
  if (tier && server.listen.length === 0) throw new Sentence('--join needs a TCP port: give -p beside -s')
  if (tier && server.memoryFile !== null && tier.dataDir === null) {
    throw new Sentence('-e in a tier needs --data-dir: without it nobody knows whether the file is of the last life')
  }
  const user = userToBecome(server.user)
  if (server.daemon && !report) {
    const line = await startDaemon(values.verbose > 0)
    if (values.jsonReady) say(line)
    process.exit(0)
  }
  for (const flag of server.withoutEffect) log.info(`${flag} has no effect here`)
  const { startNode } = await import('../server/node.js')
  const onListening = (ears: Ears) => {
    const portFile = process.env.MEMCACHED_PORT_FILENAME
    if (portFile) writePortFile(portFile, ears.tcp, ears.udp)
    if (server.pidFile !== null) keepPidFile(server.pidFile, warn)
    if (user) become(user, ears.unix ? [ears.unix.path] : [])
  }
  const signals = keepSignals()
  const node = await startNode({ server, tier, log, onListening }).catch((error: unknown) => {
    throw error instanceof Error && error.constructor !== TypeError ? new Sentence(error.message) : error
  })
  level = () => node.verbosity()
  node.onFatal(sentence => {
    complain(sentence)
    process.exit(1)
  })
  onEnd(graceful => void node.stop(graceful).finally(() => process.exit(0)), values.withParent === true && !report)
  // Never the end of a server, as a closed terminal would have it.
  process.on('SIGHUP', () => node.reload())
  const { clientPort, peerPort, dataPort, ears, loop, why } = node
  const udp = ears.udp.map(place => `udp:${placeText(place)}`)
  const places = [...ears.tcp.map(placeText), ...udp, ...(ears.unix ? [ears.unix.path] : [])]
  const line = values.jsonReady
    ? JSON.stringify({ clientPort, peerPort, dataPort, places, loop, why, pid: process.pid })
    : `continuum server: node ${tier ? `${tier.nodeId} ` : ''}ready on ${places.join(', ')} (loop ${loop}: ${why})`
  if (report) report(line)
  else say(line)
  signals.ready()
}

/** The verbosity command changes what is said while the node runs. */
function leveled(log: NodeLog, level: () => number): NodeLog {
  return {
    trace: sentence => log.trace(sentence),
    debug: (sentence, levelThen = level()) => levelThen >= 2 && log.debug(sentence),
    info: sentence => level() >= 1 && log.info(sentence),
    warn: sentence => log.warn(sentence),
  }
}

function placeText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function flagValues(command: Command): FlagValues {
  const values: FlagValues = {}
  for (const option of command.options) {
    if (option.long) values[option.long.slice(2)] = command.getOptionValue(option.attributeName()) as FlagValues[string]
  }
  return values
}

/** Null without --join; the other words of a tier make no sense alone. */
async function joined(
  values: TierValues,
  server: ServerOptions,
  warn: (sentence: string) => void,
): Promise<NodeTierOptions | null> {
  if (values.adminPort !== undefined) throw new Sentence(`--admin-port ${values.adminPort}: there is no admin page yet`)
  if (values.join === undefined) {
    const stray = Object.entries({
      '--node-id': values.nodeId,
      '--weight': values.weight,
      '--advertise': values.advertise,
      '--peer-host': values.peerHost,
      '--peer-port': values.peerPort,
      '--peer-advertise': values.peerAdvertise,
      '--data-dir': values.dataDir,
      '--peer-secret-file': values.peerSecretFile,
      '--standby': values.standby,
      '--migration-rate': values.migrationRate,
    }).find(([, value]) => value !== undefined)
    if (stray) throw new Sentence(`${stray[0]} needs --join: a node alone is in no tier`)
    return null
  }
  const { portAgain, tierOptions } = await import('./tier-options.js')
  const tier = tierOptions(values.join, values, warn)
  // Any free port: that is the one it had, where the tier knows it by that.
  const place = server.listen[0]
  if (place?.port === 0) place.port = await portAgain(tier, place.host)
  return tier
}
