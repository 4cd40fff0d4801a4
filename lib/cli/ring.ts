/** `continuum ring lookup | spread | points | diff`: rings on the command line; only a list that is a tier needs a tier. */
import { readFileSync, writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { DIALECTS, isDialect, Ring, RingError, serverText } from '../ketama/index.js'
import { type Comparison, compareRings } from '../ring-report/compare.js'
import { changePicture, ringPicture } from '../ring-report/picture.js'
import { ListError, parseInline, parseListFile, type ServerList } from '../ring-report/server-list.js'
import { type Spread, spreadReport } from '../ring-report/shares.js'
import { parseTwemproxy } from '../ring-report/twemproxy.js'
import { reasonOf } from '../tier/atomic-file.js'
import { currentGeneration } from '../tier/topology.js'
import { complain, Sentence, say, table } from './output.js'
import { readSecret } from './secret.js'
import { StoreClient } from './store-client.js'

interface RingValues {
  dialect?: string
  toDialect?: string
  points?: string
  tag?: string
  pool?: string
  toPool?: string
  tier?: string
  peerSecretFile?: string
  keys: string
  successors: string
  svg?: string
  json?: boolean
}

const LISTS = `A list is a file (lines of "host:port weight name", a twemproxy .yml, a reply of "config get cluster"),
"-" for such lines on stdin, host:port=weight,host:port ..., or a tier, embedded://host:port.`

export function ringCommand(command: Command): void {
  const sub = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .addHelpText('after', `\n${LISTS}\n\nDialects: ${DIALECTS.join(', ')}`)
      .option('--dialect <name>', "ring dialect (default: the list's own, else libmemcached-weighted)")
      .option('--points <n>', "points of an average server (default: the dialect's)")
      .option('--tag <characters>', 'relation keys: hash only what is between these two, like {}')
      .option('--pool <name>', 'pool of a twemproxy file')
      .option('--tier <store url>', 'a tier as the (first) list')
      .option('--peer-secret-file <file>', 'secret of the tier')
      .addOption(new Option('--keys <n>', 'sample, where there are no arcs to measure').default('100000'))
      .option('--json', 'for machines')
  sub('lookup', 'the owner of each key')
    .argument('[list and keys...]', 'a list, unless --tier is given, then keys')
    .addOption(new Option('--successors <n>', 'also the next distinct servers').default('0'))
    .action((words: string[], values: RingValues) => lookup(words, values))
  sub('spread', "each server's part of the keys, beside its ideal")
    .argument('[list...]')
    .option('--svg <file>', 'draw the ring')
    .action((words: string[], values: RingValues) => spread(words, values))
  sub('points', 'all points of the ring, ascending')
    .argument('[list...]')
    .option('--svg <file>', 'draw the ring')
    .action((words: string[], values: RingValues) => points(words, values))
  sub('diff', 'what share of the keys changes owner between two lists, or two dialects of one list')
    .argument('[lists...]', 'A B; with --to-dialect or --tier one less')
    .option('--to-dialect <name>', 'dialect of B')
    .option('--to-pool <name>', 'pool of B')
    .option('--svg <file>', 'draw both rings')
    .action((words: string[], values: RingValues) => diff(words, values))
}

async function lookup(words: string[], values: RingValues): Promise<void> {
  const [source, keys] = values.tier === undefined ? [words[0], words.slice(1)] : [values.tier, words]
  if (source === undefined || keys.length === 0) throw new Sentence('ring lookup: give a list and at least one key')
  const next = whole('--successors', values.successors, 0)
  const ring = await ringOf(source, values, values.dialect, values.pool)
  const rows = plainly(() =>
    keys.map(key => ({
      ...{ key, position: ring.hash(key), server: serverText(ring.get(key)) },
      successors: ring.successors(key, next).map(serverText),
    })),
  )
  if (values.json) return say(JSON.stringify({ dialect: ring.dialect, keys: rows }))
  const more = next > 0 ? ['successors'] : []
  say(
    table(
      ['key', 'position', 'server', ...more],
      rows.map(row => [row.key, row.position, row.server, ...(next > 0 ? [row.successors.join(' ')] : [])]),
    ),
  )
}

async function spread(words: string[], values: RingValues): Promise<void> {
  const ring = await onlyRing('spread', words, values)
  draw(values.svg, () => ringPicture(ring))
  const report = spreadReport(ring, sampleSize(values))
  say(values.json ? JSON.stringify(report) : spreadText(report))
}

async function points(words: string[], values: RingValues): Promise<void> {
  const ring = await onlyRing('points', words, values)
  draw(values.svg, () => ringPicture(ring))
  const { owners } = plainly(() => ring.points())
  // Where a program's circle runs the other way, its own numbers descend in the ring's order.
  const rows = ring
    .programValues()
    .map((point, i) => ({ point, server: serverText(ring.servers[owners[i]!]!) }))
    .sort((a, b) => a.point - b.point)
  if (values.json) return say(JSON.stringify({ dialect: ring.dialect, points: rows }))
  say(
    table(
      ['point', 'server'],
      rows.map(row => [row.point, row.server]),
    ),
  )
}

async function diff(words: string[], values: RingValues): Promise<void> {
  const sources = values.tier === undefined ? words : [values.tier, ...words]
  const oneList = sources.length === 1 && (values.toDialect !== undefined || values.toPool !== undefined)
  if (sources.length !== 2 && !oneList) {
    throw new Sentence('ring diff: give two lists, or one list and --to-dialect')
  }
  const [first = '', second = first] = sources
  const before = await ringOf(first, values, values.dialect, values.pool)
  const after = await ringOf(second, values, values.toDialect ?? values.dialect, values.toPool ?? values.pool)
  draw(values.svg, () => changePicture(before, after))
  const report = compareRings(before, after, sampleSize(values))
  const dialects = { before: before.dialect, after: after.dialect }
  say(values.json ? JSON.stringify({ dialects, ...report }) : diffText(dialects, report))
}

function spreadText({ dialect, method, maxOverIdeal, minOverIdeal, servers }: Spread): string {
  const rows = servers.map(({ server, weight, points, share, ideal }) => [
    ...[server, weight, points ?? '-', percent(share), percent(ideal), (share / ideal).toFixed(3)],
  ])
  return [
    `${dialect}, ${servers.length} servers${method === 'keys' ? ', by sample keys' : ''}`,
    '',
    table(['server', 'weight', 'points', 'share', 'ideal', 'share/ideal'], rows),
    '',
    `fullest ${maxOverIdeal.toFixed(3)} of its ideal, emptiest ${minOverIdeal.toFixed(3)}`,
  ].join('\n')
}

function diffText(dialects: { before: string; after: string }, report: Comparison): string {
  const rows = report.servers.map(row => [
    ...[row.server, percent(row.before), percent(row.after)],
    ...[percent(row.gets), percent(row.idealGets), percent(row.gives), percent(row.idealGives)],
  ])
  const how = report.method === 'arcs' ? `${report.arcs} arcs` : `a sample of ${report.keys} keys`
  const ratio = report.ideal > 0 ? `, ${(report.moved / report.ideal).toFixed(2)} times the ideal` : ''
  return [
    `${dialects.before} -> ${dialects.after}: ${percent(report.moved)} of the keys change owner (${how})`,
    `ideal ${percent(report.ideal)}${ratio}; moved without need ${percent(report.needless)}`,
    '',
    table(['server', 'before', 'after', 'gets', 'ideal', 'gives', 'ideal'], rows),
  ].join('\n')
}

const percent = (part: number): string => `${(part * 100).toFixed(2)}%`

async function onlyRing(name: string, words: string[], values: RingValues): Promise<Ring> {
  const sources = values.tier === undefined ? words : [values.tier, ...words]
  const [source] = sources
  if (source === undefined || sources.length > 1) throw new Sentence(`ring ${name}: give one list`)
  return ringOf(source, values, values.dialect, values.pool)
}

async function ringOf(source: string, values: RingValues, dialect: string | undefined, pool?: string): Promise<Ring> {
  if (dialect !== undefined && !isDialect(dialect)) {
    throw new Sentence(`"${dialect}" is not a ring dialect, give one of ${DIALECTS.join(', ')}`)
  }
  const list = await listOf(source, values, pool)
  const options = {
    dialect: dialect ?? list.dialect ?? 'libmemcached-weighted',
    pointsPerServer: values.points === undefined ? list.pointsPerServer : whole('--points', values.points, 1),
    relationTag: values.tag ?? list.relationTag,
  }
  const ring = plainly(() => new Ring(list.servers, options))
  warnOfWeights(ring)
  return ring
}

function warnOfWeights(ring: Ring): void {
  const weighted = ring.servers.find(({ weight = 1 }) => weight !== 1)
  if (weighted && !ring.weighted) {
    complain(`${ring.dialect} knows no weights: weight ${weighted.weight} of ${serverText(weighted)} does not count`)
  }
}

async function listOf(source: string, values: RingValues, pool?: string): Promise<ServerList> {
  if (/^[a-z]+:\/\//.test(source)) return tierList(source, values)
  const isInline = source !== '-' && (source.includes(',') || /^[^/]+:\d+(=[^/]*)?$/.test(source))
  const name = source === '-' ? 'stdin' : source
  try {
    if (isInline) return parseInline(source)
    const text = read(source)
    return /\.ya?ml$/.test(source) ? parseTwemproxy(text, pool) : parseListFile(text)
  } catch (error) {
    if (!(error instanceof ListError)) throw error
    throw new Sentence(error.message.startsWith(`"${source}"`) ? error.message : `${name}: ${error.message}`)
  }
}

function read(source: string): string {
  try {
    return readFileSync(source === '-' ? 0 : source, 'utf8')
  } catch (error) {
    const form = source.includes('/') ? '' : '; a list on the command line is host:port,host:port'
    throw new Sentence(`the server list ${source} cannot be read (${reasonOf(error)})${form}`)
  }
}

async function tierList(url: string, values: RingValues): Promise<ServerList> {
  const store = new StoreClient(url, readSecret(values.peerSecretFile, complain))
  try {
    const { topology } = await store.read()
    const generation = currentGeneration(topology)
    if (!generation) throw new Sentence(`the tier at ${url} has no ring yet`)
    // As the tier itself makes its ring: of addresses, not of node ids.
    const servers = generation.servers.map(({ host, port, weight }) => ({ host, port, weight }))
    return { servers, dialect: topology.dialect, pointsPerServer: topology.pointsPerServer }
  } finally {
    store.close()
  }
}

/** A RingError is a sentence already. */
function plainly<Result>(make: () => Result): Result {
  try {
    return make()
  } catch (error) {
    throw error instanceof RingError ? new Sentence(error.message) : error
  }
}

function draw(file: string | undefined, picture: () => string): void {
  if (file === undefined) return
  const svg = plainly(picture)
  try {
    writeFileSync(file, svg)
  } catch (error) {
    throw new Sentence(`--svg ${file} cannot be written (${reasonOf(error)})`)
  }
}

const sampleSize = (values: RingValues): number => whole('--keys', values.keys, 1)

function whole(option: string, text: string, least: number): number {
  const number = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= least)) throw new Sentence(`${option} ${text}: it must be a whole number of at least ${least}`)
  return number
}
