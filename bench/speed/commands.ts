/** The words of `bench load` and `bench compare`; the bodies are loaded when asked for. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { Sentence, say } from '../../lib/cli/output.js'
import { parseAddress } from '../../lib/tier/store.js'
import { LOOP_WISHES } from '../../lib/transport/choose.js'
import type { LoadOptions } from './load-run.js'
import type { Workload } from './workload.js'

interface TrafficValues {
  connections?: number
  inFlight?: number
  multiGet?: number
  keys?: number
  keyOrder?: string
  valueSize?: string
  readShare?: number
  protocol?: Workload['protocol']
  fill?: number
  duration: number
  warmUp: number
  processes: number
  rate: number
  requests: number
  verify: boolean
  loop: LoadOptions['loop']
  seed: number
  json?: boolean
}

interface LoadValues extends TrafficValues {
  workload: string
  target: string
  serverPid: number[]
  core?: number
}

/** What both commands know: single fields of the workload, and how long. */
function trafficOptions(command: Command): Command {
  return command
    .option('--connections <n>', 'connections, over all processes', whole(1))
    .option('--in-flight <n>', 'requests under way at once on each connection', whole(1))
    .option('--multi-get <n>', 'keys of each get', whole(1))
    .option('--keys <n>', 'how many keys there are', whole(1))
    .option('--key-order <order>', 'uniform, zipf:<exponent> or sequential')
    .option('--value-size <size>', '<bytes>, fixed:<bytes> or lognormal:<mean>:<max>')
    .option('--read-share <part>', 'part of the requests that read, 0 to 1', part)
    .addOption(new Option('--protocol <name>', 'classic or meta commands').choices(['classic', 'meta']))
    .option('--fill <n>', 'keys written before anything is measured (default: all)', whole(0))
    .option('--duration <seconds>', 'how long is measured', seconds, 5)
    .option('--warm-up <seconds>', 'load before that', seconds, 1)
    .option('--processes <n>', 'processes of the load', whole(1), 1)
    .option('--rate <n>', 'open loop: requests a second, whatever the answers do; 0: closed loop', whole(0), 0)
    .option('--requests <n>', 'measure that many requests instead of a duration', whole(1), 0)
    .option('--no-verify', 'read values without checking their bytes')
    .addOption(new Option('--loop <name>', 'loop of the load').choices(LOOP_WISHES).default('auto'))
    .option('--seed <n>', 'what decides keys, sizes and values', whole(0), 1)
    .option('--json', 'print the numbers as JSON')
}

export function loadCommand(): Command {
  return trafficOptions(new Command('load'))
    .description('load for one server that speaks memcached; every value that comes back is checked')
    .option('--target <host:port>', 'the server', '127.0.0.1:11211')
    .option('--workload <name|file>', 'a file of bench/workloads, or one of your own', 'connections-50')
    .option('--server-pid <pid>', 'read the processor time of this process; repeat for more', several, [])
    .option('--core <n>', 'keep the load on this processor core', whole(0))
    .action(async (values: LoadValues) => {
      const [{ readWorkload }, { runLoad }, { loadText }, { checkPinning }] = await Promise.all([
        import('./workload.js'),
        import('./load-run.js'),
        import('./speed-report.js'),
        import('./pinning.js'),
      ])
      const { warmUp, duration, processes, seed, requests, rate, verify, loop, serverPid, core } = values
      if (requests > 0 && rate > 0) throw new Sentence(`--rate ${rate}: an open loop is measured by --duration`)
      if (core !== undefined) checkPinning({ '--core': core })
      const report = await runLoad({
        target: addressOf(values.target),
        workload: readWorkload(values.workload, changesOf(values)),
        ...{ processes, seed, requests, rate, verify, loop },
        warmUpMs: warmUp * 1000,
        durationMs: duration * 1000,
        serverPids: serverPid,
        core: core ?? null,
      })
      say(values.json ? JSON.stringify(report) : loadText(report))
      process.exitCode = report.isRight ? 0 : 1
    })
}

interface CompareValues extends TrafficValues {
  workload: string[]
  peer: string[]
  ours: string
  rounds: number
  serverCore: number
  loadCore: number
  out: string
}

const DEFAULT_PEER = 'memcached -t 1 -p {port} -l 127.0.0.1'

export function compareCommand(): Command {
  return trafficOptions(new Command('compare'))
    .description('our server and others under the same load, alternately, each on one core; ratios with their spread')
    .option('--workload <name|file>', 'repeat for more (default: all of bench/workloads)', texts, [])
    .option('--peer <command>', `how a peer starts, with {port}; repeat for more (default: ${DEFAULT_PEER})`, texts, [])
    .option('--ours <flags>', 'flags for continuum server', '')
    .option('--rounds <n>', 'measurements of each server', whole(1), 5)
    .option('--server-core <n>', 'processor core of the servers', whole(0), 0)
    .option('--load-core <n>', 'processor core of the load', whole(0), 1)
    .option('--out <dir>', 'where the chart and the numbers go', 'bench/results')
    .action(async (values: CompareValues) => {
      const [{ readWorkload, workloadNames }, { compare }, { compareText }, { parseTemplate }, { writeResults }] =
        await Promise.all([
          import('./workload.js'),
          import('./compare.js'),
          import('./speed-report.js'),
          import('./template.js'),
          import('./results.js'),
        ])
      const { warmUp, duration, processes, seed, requests, rate, verify, loop, ours, rounds } = values
      const { serverCore, loadCore, out, json } = values
      if (requests > 0 && rate > 0) throw new Sentence(`--rate ${rate}: an open loop is measured by --duration`)
      if (serverCore === loadCore) throw new Sentence(`--load-core ${loadCore}: the servers run on that core`)
      const names = values.workload.length > 0 ? values.workload : workloadNames()
      const peers = values.peer.length > 0 ? values.peer : [DEFAULT_PEER]
      const report = await compare({
        ...{ processes, seed, requests, rate, verify, loop, ours, rounds },
        workloads: names.map(name => readWorkload(name, changesOf(values))),
        peers: peers.map(parseTemplate),
        warmUpMs: warmUp * 1000,
        durationMs: duration * 1000,
        cores: { server: serverCore, load: loadCore },
        say: line => void process.stderr.write(`${line}\n`),
      })
      say(json ? JSON.stringify(report) : compareText(report))
      process.stderr.write(`${writeResults(report, out).join('\n')}\n`)
      process.exitCode = report.isRight ? 0 : 1
    })
}

function changesOf(values: TrafficValues): Partial<Workload> {
  const { connections, inFlight, multiGet, keys, keyOrder, valueSize, readShare, protocol, fill } = values
  return { connections, inFlight, multiGet, keys, keyOrder, valueSize, readShare, protocol, fill }
}

function addressOf(text: string) {
  const address = parseAddress(text)
  if (!address || address.port === 0) throw new Sentence(`--target ${text}: must be host:port`)
  return address
}

function whole(least: number): (text: string) => number {
  return text => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= least)) throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`)
    return number
  }
}

function texts(text: string, before: string[]): string[] {
  return [...before, text]
}

function several(text: string, before: number[]): number[] {
  return [...before, whole(1)(text)]
}

function part(text: string): number {
  const number = /^\d(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= 0 && number <= 1)) throw new InvalidArgumentError('It must be a number from 0 to 1.')
  return number
}

function seconds(text: string): number {
  const number = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= 0)) throw new InvalidArgumentError('It must be seconds, like 3 or 0.5.')
  return number
}
