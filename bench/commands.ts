/**
 * `continuum bench ...`: the words of the experiments; what they do is in the files beside this one, loaded when asked for,
 * so that a node does not start with a load generator in its memory.
 */
import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import { say } from '../lib/cli/output.js'
import { LOOP_WISHES } from '../lib/transport/choose.js'
import type { ClientBenchOptions } from './client.js'
import { FAULTS, type Fault } from './faults.js'
import type { How } from './outage.js'
import { compareCommand, loadCommand } from './speed/commands.js'
import type { Kind } from './systems.js'

const MINUTES_MAX = 30

/** All experiments; bin/ attaches it to the program. */
export function benchCommand(command: Command): void {
  command
    .addCommand(scaleOutCommand())
    .addCommand(outageCommand())
    .addCommand(rollingRestartCommand())
    .addCommand(tortureCommand())
    .addCommand(warmRestartCommand())
    .addCommand(memoryCommand())
    .addCommand(ringCommand())
    .addCommand(clientCommand())
    .addCommand(loadCommand())
    .addCommand(compareCommand())
}

/** Of every experiment with a tier under load. */
interface LoadedValues {
  seeds: number
  threads: number
  loop: string
  valueMax: number
  rate: number
  inFlight: number
  memory: number
  json?: boolean
}

/** An experiment with a tier under load; what all of them can be told, with this one's defaults. */
function loaded(name: string, usual: Pick<LoadedValues, 'valueMax' | 'rate' | 'inFlight' | 'memory'>): Command {
  return new Command(name)
    .option('--seeds <n>', 'runs, each with the next seed', whole(1), 1)
    .option('--threads <n>', 'worker threads of each node', whole(1), Math.min(2, availableParallelism()))
    .addOption(new Option('--loop <name>', 'loop of the nodes').choices(LOOP_WISHES).default('auto'))
    .option('--value-max <bytes>', 'size of the largest values; most are small', whole(1), usual.valueMax)
    .option('--rate <n>', 'requests a second, 0: as fast as answers come', whole(0), usual.rate)
    .option('--in-flight <n>', 'requests under way at once', whole(1), usual.inFlight)
    .option('--memory <mb>', 'memory of each node', whole(64), usual.memory)
    .option('--json', 'print the numbers instead of tables')
}

/** How an experiment goes, line by line. */
const tell = (line: string): void => void process.stderr.write(`${line}\n`)

interface ScaleOutValues extends LoadedValues {
  seed: number
  keys: number
  kind: Kind
  duration: number
  peer: boolean
  out: string
}

export function scaleOutCommand(): Command {
  return loaded('scale-out', { valueMax: 500_000, rate: 1000, inFlight: 32, memory: 512 })
    .description('a tier gains or loses a node under load; every answer is checked; the same with memcached beside it')
    .option('--seed <n>', 'what decides keys, values and requests', whole(0), 1)
    .option('--keys <n>', 'keys written before the change', whole(100), 100_000)
    .addOption(new Option('--kind <kind>', 'what happens to the tier').choices(['add', 'drain']).default('add'))
    .option('--duration <seconds>', 'load before and after the change, each', whole(1), 5)
    .option('--no-peer', 'without memcached')
    .option('--out <dir>', 'where the chart and the numbers go', 'bench/results')
    .action(async (values: ScaleOutValues) => {
      const [{ runScaleOut }, { scaleOutText }] = await Promise.all([import('./scale-out.js'), import('./report.js')])
      const { duration, memory, json, ...same } = values
      const report = await runScaleOut({
        ...same,
        durationMs: duration * 1000,
        memoryMb: memory,
        say: tell,
      })
      say(json ? JSON.stringify(report) : scaleOutText(report))
      process.exitCode = report.passed ? 0 : 1
    })
}

interface OutageValues extends LoadedValues {
  how: How
  seed: number
  keys: number
  duration: number
  awayAfter: number
  outage: number
  coordinatorAway: number
  out: string
  logs?: string
}

function outageCommand(): Command {
  const how = new Option('--how <how>', 'what happens to a node').choices(['pause', 'kill', 'coordinator'])
  return loaded('outage', { valueMax: 100_000, rate: 1000, inFlight: 256, memory: 128 })
    .description('a node goes away under load and comes back; every answer is checked')
    .addOption(how.default('pause'))
    .option('--seed <n>', 'what decides keys, values, requests and the node', whole(0), 1)
    .option('--keys <n>', 'keys written before', whole(100), 2000)
    .option('--duration <seconds>', 'load before and after, each', whole(1), 3)
    .option('--away-after <seconds>', 'when the tier declares a node away', whole(1), 5)
    .option('--outage <seconds>', 'how long the node is paused or dead', whole(1), 10)
    .option('--coordinator-away <seconds>', 'how long the coordinator is dead, with --how coordinator', whole(1), 30)
    .option('--out <dir>', 'where the numbers go', 'bench/results')
    .option('--logs <dir>', 'where everything goes that the processes print at -vv')
    .action(async (values: OutageValues) => {
      const [{ runOutage }, { outageText }] = await Promise.all([import('./outage.js'), import('./outage-report.js')])
      const { duration, awayAfter, outage, coordinatorAway, memory, logs, json, ...same } = values
      const report = await runOutage({
        ...same,
        durationMs: duration * 1000,
        awayAfterSec: awayAfter,
        outageMs: outage * 1000,
        coordinatorMs: coordinatorAway * 1000,
        memoryMb: memory,
        logs: logs ?? null,
        say: tell,
      })
      say(json ? JSON.stringify(report) : outageText(report))
      // npm's client goes on looking for a server that was away, also after its end.
      process.stdout.write('', () => process.exit(report.passed ? 0 : 1))
    })
}

interface RollingValues extends LoadedValues {
  seed: number
  nodes: number
  keys: number
  duration: number
  out: string
}

function rollingRestartCommand(): Command {
  return loaded('rolling-restart', { valueMax: 100_000, rate: 1000, inFlight: 64, memory: 256 })
    .description('every node steps aside, is restarted and comes back, under load; every answer is checked')
    .option('--seed <n>', 'what decides keys, values and requests', whole(0), 1)
    .option('--nodes <n>', 'nodes of the tier, without the router', whole(2), 3)
    .option('--keys <n>', 'keys written before', whole(100), 20_000)
    .option('--duration <seconds>', 'load before and after, each', whole(1), 5)
    .option('--out <dir>', 'where the numbers go', 'bench/results')
    .action(async (values: RollingValues) => {
      const [{ runRollingRestart }, { rollingText }] = await Promise.all([
        import('./rolling-restart.js'),
        import('./rolling-report.js'),
      ])
      const { duration, memory, json, ...same } = values
      const report = await runRollingRestart({
        ...same,
        durationMs: duration * 1000,
        memoryMb: memory,
        say: tell,
      })
      say(json ? JSON.stringify(report) : rollingText(report))
      process.exitCode = report.passed ? 0 : 1
    })
}

function memoryCommand(): Command {
  return new Command('memory')
    .description('fills one node with small values until it evicts, prints its resident memory')
    .option('--memory <mb>', '-m of the node', whole(64), 256)
    .option('--threads <n>', 'worker threads', whole(1), Math.min(2, availableParallelism()))
    .option('--value <bytes>', 'size of each value', whole(1), 100)
    .option('--json', 'print the numbers as JSON')
    .action(
      async ({ memory, threads, value, json }: Record<'memory' | 'threads' | 'value', number> & { json?: true }) => {
        const { memoryText, runMemory } = await import('./memory.js')
        const report = await runMemory({ memoryMb: memory, threads, valueBytes: value })
        say(json ? JSON.stringify(report) : memoryText(report))
        process.exitCode = report.withinPromise ? 0 : 1
      },
    )
}

interface TortureValues extends LoadedValues {
  seed: number
  minutes: number
  faults: Fault[]
  keys: number
  awayAfter: number
  out: string
  logs?: string
}

function tortureCommand(): Command {
  return loaded('torture', { valueMax: 50_000, rate: 400, inFlight: 128, memory: 128 })
    .description(
      'pauses, kills, cut and stalled networks, full disks, one after the other under load; every answer is checked',
    )
    .option('--seed <n>', 'what decides keys, values, requests and faults', whole(0), 1)
    .option('--minutes <n>', 'of each run, at most 30; the fault that has begun is ended', whole(1, MINUTES_MAX), 2)
    .option('--faults <names>', `which, by commas: ${FAULTS.join(',')}`, faults, [...FAULTS])
    .option('--keys <n>', 'keys written before', whole(100), 1000)
    .option('--away-after <seconds>', 'when the tier declares a node away', whole(1), 5)
    .option('--out <dir>', 'where the numbers go', 'bench/results')
    .option('--logs <dir>', 'where everything goes that the processes print at -vv')
    .action(async (values: TortureValues) => {
      const [{ runTorture }, { tortureText }] = await Promise.all([
        import('./torture.js'),
        import('./torture-report.js'),
      ])
      const { minutes, awayAfter, memory, seed, seeds, logs, json, ...same } = values
      for (let i = 0; i < seeds; i++) {
        const report = await runTorture({
          ...same,
          seed: seed + i,
          durationMs: minutes * 60_000,
          awayAfterSec: awayAfter,
          memoryMb: memory,
          logs: logs ?? null,
          say: tell,
        })
        say(json ? JSON.stringify(report) : tortureText(report))
        if (!report.passed) process.exitCode = 1
      }
    })
}

function faults(text: string): Fault[] {
  return text.split(',').map(name => {
    const fault = FAULTS.find(one => one === name)
    if (!fault) throw new InvalidArgumentError(`"${name}" is none of ${FAULTS.join(', ')}.`)
    return fault
  })
}

function warmRestartCommand(): Command {
  return new Command('warm-restart')
    .description(
      'fills one node, restarts it with its memory (-e): how long until all its keys are back, beside a cold start',
    )
    .option('--memory <mb>', '-m of the node', whole(64), 256)
    .option('--threads <n>', 'worker threads', whole(1), Math.min(2, availableParallelism()))
    .option('--value <bytes>', 'size of each value', whole(10), 500)
    .option('--json', 'print the numbers as JSON')
    .action(
      async ({ memory, threads, value, json }: Record<'memory' | 'threads' | 'value', number> & { json?: true }) => {
        const { runWarmRestart, warmRestartText } = await import('./warm-restart.js')
        const report = await runWarmRestart({ memoryMb: memory, threads, valueBytes: value })
        say(json ? JSON.stringify(report) : warmRestartText(report))
        process.exitCode = report.passed ? 0 : 1
      },
    )
}

function ringCommand(): Command {
  return new Command('ring')
    .description('look-ups beside npm hashring, and how long rings and their differences take')
    .option('--servers <n>', 'servers of the ring that is looked up in', whole(2), 10)
    .option('--large <n>', 'servers of the ring that is built and compared', whole(2), 1000)
    .option('--keys <n>', 'keys looked up in each round', whole(1000), 100_000)
    .option('--rounds <n>', 'rounds; the best counts', whole(1), 15)
    .option('--json', 'print the numbers as JSON')
    .action(async ({ json, ...options }: Record<'servers' | 'large' | 'keys' | 'rounds', number> & { json?: true }) => {
      const { ringText, runRing } = await import('./ring.js')
      const report = await runRing(options)
      say(json ? JSON.stringify(report) : ringText(report))
      process.exitCode = report.withinPromise ? 0 : 1
    })
}

function clientCommand(): Command {
  return new Command('client')
    .description(
      "our client beside npm's memcached, memjs and memcache-client, and our reader of replies beside memcache-parser",
    )
    .addOption(new Option('--server <kind>', 'what they talk to').choices(['memcached', 'node']).default('memcached'))
    .option('--rounds <n>', 'rounds; the best counts', whole(1), 5)
    .option('--duration <ms>', 'of each kind of work in each round', whole(10), 1000)
    .option('--value <bytes>', 'size of each value', whole(1), 100)
    .option('--json', 'print the numbers as JSON')
    .action(async ({ json, ...options }: ClientBenchOptions & { json?: true }) => {
      const { clientText, runClientBench } = await import('./client.js')
      const report = await runClientBench(options)
      say(json ? JSON.stringify(report) : clientText(report))
    })
}

function whole(least: number, most = Number.POSITIVE_INFINITY): (text: string) => number {
  return text => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= least)) throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`)
    if (number > most) throw new InvalidArgumentError(`It must be a whole number of at most ${most}.`)
    return number
  }
}
