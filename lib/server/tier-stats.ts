/**
 * The figures of several nodes as those of one memcached, for `stats` through a router. The rule of each name is here, once:
 *
 *   sum      what is counted, and what there is of it: the default of every whole or decimal number
 *   stores   the same, of nodes that keep items: what a router would add is not there for anybody
 *   most     ages, levels, and switches of which one says enough
 *   least    accepting_conns: 0 as soon as one node takes nobody; evicted_time: of who evicted what was read last
 *   asked    what describes a process or a build: of the node that was asked, or the first that has it
 *
 * Classes of the same number are added up: nodes with the same -f, -n and -I have the same classes. `active_slabs` is the
 * number of classes in the list. Pure.
 */
export interface NodeFigures {
  id: string
  host: string
  port: number
  weight: number
  /** Its whole reply to the same `stats`; null: it did not answer in time. */
  text: string | null
}

type Rule = 'sum' | 'stores' | 'most' | 'least' | 'asked'

const RULES = new Map<string, Rule>([
  ...of('stores', ['limit_maxbytes']),
  ...of('most', ['uptime', 'hash_power_level', 'hash_is_expanding', 'age', 'age_hot', 'age_warm']),
  ...of('most', ['slab_reassign_running', 'slab_reassign_last_busy_status', 'lru_crawler_running']),
  ...of('most', ['time_since_server_cert_refresh']),
  ...of('least', ['accepting_conns', 'evicted_time']),
  ...of('asked', ['pid', 'time', 'version', 'libevent', 'pointer_size', 'chunk_size', 'chunks_per_page']),
])

/** 0 says that nothing was evicted yet, not that it happened this second. */
const ZERO_IS_NOTHING = new Set(['evicted_time'])
const NUMBER = /^-?\d+(\.\d+)?$/
const END = 'END\r\n'

function of(rule: Rule, names: string[]): [string, Rule][] {
  return names.map(name => [name, rule])
}

interface Figure {
  value: string
  isStore: boolean
}

/** One list out of all; the first node is the one that was asked. `words` are those behind `stats`. */
export function mergedStats(nodes: readonly NodeFigures[], words: readonly string[]): Buffer {
  const byName = new Map<string, Figure[]>()
  for (const { text, weight } of nodes) {
    for (const [name, value] of statLinesOf(text ?? '')) {
      const known = byName.get(name)
      const figure = { value, isStore: weight > 0 }
      if (known) known.push(figure)
      else byName.set(name, [figure])
    }
  }
  const lines = [...byName].map(([name, figures]): [string, string] => [name, merge(name, figures)])
  lines.sort(([a], [b]) => classOf(a) - classOf(b))
  const active = lines.find(([name]) => name === 'active_slabs')
  if (active) active[1] = String(lines.filter(([name]) => name.endsWith(':chunk_size')).length)
  const missing = nodes.filter(node => node.text === null).length
  if (words.length === 0) lines.push(['nodes', String(nodes.length)])
  if (words.length === 0 || missing > 0) lines.push(['nodes_missing', String(missing)])
  return Buffer.from(lines.map(([name, value]) => `STAT ${name} ${value}\r\n`).join('') + END, 'latin1')
}

/** `stats nodes`: everybody's own figures, the name of the node before each. */
export function statsByNode(nodes: readonly NodeFigures[]): Buffer {
  const lines = nodes.flatMap(({ id, host, port, weight, text }) => [
    `STAT ${id}:address ${host}:${port}\r\n`,
    `STAT ${id}:weight ${weight}\r\n`,
    `STAT ${id}:answered ${text === null ? 'no' : 'yes'}\r\n`,
    ...statLinesOf(text ?? '').map(([name, value]) => `STAT ${id}:${name} ${value}\r\n`),
  ])
  return Buffer.from(lines.join('') + END, 'latin1')
}

/** To `stats reset`: all of them, or who did not say so. */
export function resetReply(nodes: readonly NodeFigures[]): Buffer {
  const missing = nodes.filter(node => node.text === null).map(node => node.id)
  if (missing.length === 0) return Buffer.from('RESET\r\n')
  return Buffer.from(`SERVER_ERROR stats reset was not confirmed by node ${missing.join(', ')}\r\n`)
}

function statLinesOf(text: string): [string, string][] {
  return text.split('\r\n').flatMap((line): [string, string][] => {
    const [word, name, ...rest] = line.split(' ')
    return word === 'STAT' && name ? [[name, rest.join(' ')]] : []
  })
}

/** The slab class in `items:5:age` and `5:chunk_size`; names without one come last, as memcached's totals do. */
function classOf(name: string): number {
  const match = /^(?:items:)?(\d+):/.exec(name)
  return match ? Number(match[1]) : Number.MAX_SAFE_INTEGER
}

function merge(name: string, figures: Figure[]): string {
  const plain = name.slice(name.lastIndexOf(':') + 1)
  const rule = RULES.get(plain) ?? 'sum'
  const first = figures[0]!.value
  if (rule === 'asked' || figures.some(({ value }) => !NUMBER.test(value))) return first
  const counted = rule === 'stores' ? figures.filter(({ isStore }) => isStore) : figures
  const values = counted.map(({ value }) => value)
  if (rule === 'sum' || rule === 'stores') return sum(values)
  const told = ZERO_IS_NOTHING.has(plain) ? values.filter(value => value !== '0') : values
  const numbers = told.map(Number)
  if (numbers.length === 0) return '0'
  return String(rule === 'most' ? Math.max(...numbers) : Math.min(...numbers))
}

/** Whole numbers have 64 bits; seconds of processor time have six digits behind the point. */
function sum(values: string[]): string {
  if (values.some(value => value.includes('.'))) {
    return values.reduce((total, value) => total + Number(value), 0).toFixed(6)
  }
  return String(values.reduce((total, value) => total + BigInt(value), 0n))
}
