/** A node steps aside, leaves its memory in a file, and takes it back: what was written, deleted or flushed meanwhile counts, the rest is there again. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { TierView } from '../../lib/cli/tier-view.js'
import { continuum, type Started } from './processes.js'
import { TextClient, TierProcesses } from './tier-processes.js'

const IDS = ['a', 'b', 'c']
const KEYS = Array.from({ length: 1000 }, (_, i) => `key-${i}`)

const isWhole = (view: TierView) =>
  view.settled && view.nodes.length === IDS.length && view.nodes.every(({ state, alive }) => state === 'up' && alive)

class QuickTier extends TierProcesses {
  readonly #t: Test
  readonly #files: string

  constructor(t: Test) {
    super()
    this.#t = t
    this.#files = t.testdir({})
    t.teardown(() => this.stop())
  }

  file(id: string): string {
    return join(this.#files, id)
  }

  /** With its memory file. */
  begin(id: string, ...more: string[]): Promise<void> {
    return this.node(id, '-e', this.file(id), ...more)
  }

  async all(): Promise<void> {
    await this.coordinator('--away-after', '3')
    await Promise.all(IDS.map(id => this.begin(id)))
    await this.until(view => isWhole(view) && view.nodes.every(one => one.fenced))
  }

  client(id: string): TextClient {
    const client = new TextClient(this.ports.get(id)!)
    this.#t.teardown(() => client.close())
    return client
  }

  command(...words: string[]): Started {
    return continuum('tier', ...words, '--tier', this.storeUrl)
  }

  async stepAside(id: string): Promise<void> {
    const command = this.command('step-aside', id, '--quick')
    await command.until(/may be stopped now/)
    this.#t.equal(await command.ended, 0)
  }
}

async function setAll(t: Test, client: TextClient, keys: readonly string[], value: string): Promise<void> {
  const sets = keys.map(key => `set ${key} 0 0 ${value.length}\r\n${value}\r\n`).join('')
  t.equal(await client.all(sets), 'STORED\r\n'.repeat(keys.length))
}

/** A whole tier in which every key has the value "before", and a client of node a. */
async function filled(t: Test): Promise<{ tier: QuickTier; a: TextClient }> {
  const tier = new QuickTier(t)
  await tier.all()
  const a = tier.client('a')
  await setAll(t, a, KEYS, 'before')
  return { tier, a }
}

/** Writes and reads all the time; what was not answered as it should be. */
async function load(client: TextClient, name: string, isOver: () => boolean): Promise<string[]> {
  const wrong = new Set<string>()
  const keys = Array.from({ length: 40 }, (_, i) => `${name}-${i}`)
  const sets = keys.map(key => `set ${key} 0 0 1\r\nx\r\n`).join('')
  const gets = keys.map(key => `get ${key}\r\n`).join('')
  while (!isOver()) {
    const answers = await client.all(sets + gets).catch((error: Error) => error.message)
    if (!/^(STORED\r\n){40}((VALUE .*\r\nx\r\n)?END\r\n){40}$/.test(answers)) wrong.add(answers.slice(0, 300))
  }
  return [...wrong]
}

const part = (n: number) => KEYS.filter((_, i) => i % 4 === n)

async function same(t: Test, client: TextClient, wanted: ReadonlyMap<string, string>, what: string): Promise<void> {
  const found = await client.read(KEYS)
  const wrong = KEYS.filter(key => found.get(key) !== wanted.get(key))
  t.same(
    wrong.map(key => `${key}: ${found.get(key)} instead of ${wanted.get(key)}`),
    [],
    what,
  )
}

t.test('what was written or deleted meanwhile counts, the rest is there again', { timeout: 300_000 }, async t => {
  const { tier, a } = await filled(t)
  await tier.stepAside('b')
  const told = new Map(KEYS.map(key => [key, 'before']))
  const write = async (client: TextClient, keys: readonly string[], value: string) => {
    await setAll(t, client, keys, value)
    for (const key of keys) told.set(key, value)
  }
  // It still runs, and passes on what it is asked for.
  await write(tier.client('b'), part(0), 'meanwhile')
  await tier.end('b')
  t.ok(existsSync(tier.file('b')), 'SIGTERM is enough')
  await a.all(
    part(1)
      .map(key => `delete ${key}\r\n`)
      .join(''),
  )
  for (const key of part(1)) told.delete(key)
  await write(a, part(2).slice(0, 100), 'later')
  const found = await tier.client('c').read(KEYS)
  const missed = KEYS.filter(key => told.has(key) && !found.has(key))
  t.ok(missed.length > 50, `${missed.length} keys that only it holds are misses`)
  t.same(
    KEYS.filter(key => found.has(key) && found.get(key) !== told.get(key)),
    [],
    'nothing is wrong meanwhile',
  )
  await tier.begin('b')
  t.notOk(existsSync(tier.file('b')), 'it is good for one start')
  // The others may hear of it a moment later: until then what only it holds is a miss.
  const early = await a.read(KEYS)
  t.same(
    KEYS.filter(key => early.get(key) !== told.get(key) && (early.has(key) || !missed.includes(key))),
    [],
    'at once, while it takes back',
  )
  await tier.until(isWhole)
  for (const id of IDS) await same(t, tier.client(id), told, `when it is back, by ${id}`)
  await tier.until(view => view.nodes.every(({ hints, quick }) => hints === undefined && quick === undefined))

  // Once more, and nobody wrote anything.
  await tier.stepAside('c')
  await tier.end('c')
  await tier.begin('c')
  await tier.until(isWhole)
  await same(t, a, told, 'a second one')
})

t.test('while others take over nobody is refused', { timeout: 300_000 }, async t => {
  const tier = new QuickTier(t)
  await tier.all()
  let isOver = false
  const loads = IDS.map(id => load(tier.client(id), `from-${id}`, () => isOver))
  await tier.stepAside('b')
  isOver = true
  for (const wrong of await Promise.all(loads)) t.same(wrong, [])
})

t.test('a flush_all meanwhile holds', { timeout: 300_000 }, async t => {
  const { tier, a } = await filled(t)
  await tier.stepAside('b')
  await tier.end('b')
  t.equal(await a.all('flush_all\r\n'), 'OK\r\n')
  await setAll(t, a, part(0), 'after')
  await tier.begin('b')
  await tier.until(isWhole)
  t.match(tier.output('b'), /starts empty: there was a flush_all since/)
  for (const id of IDS) await same(t, tier.client(id), new Map(part(0).map(key => [key, 'after'])), `by ${id}`)
})

t.test('a life without the file in between: it is not believed', { timeout: 300_000 }, async t => {
  const { tier, a } = await filled(t)
  await tier.stepAside('b')
  await tier.end('b')
  await tier.node('b')
  await tier.until(isWhole)
  await setAll(t, a, KEYS, 'after')
  await tier.end('b')
  await tier.begin('b')
  await tier.until(isWhole)
  const found = await a.read(KEYS)
  t.same(
    [...found.values()].filter(value => value !== 'after'),
    [],
    'misses at most',
  )
  t.match(tier.output('b'), /starts empty: this node has had another life since/)
  t.ok(existsSync(tier.file('b')), 'what is not believed is left where it is')
})

t.test('what cannot be believed later is not begun', { timeout: 120_000 }, async t => {
  const tier = new QuickTier(t)
  await tier.coordinator('--away-after', '0')
  await tier.begin('a')
  await tier.node('b')
  await tier.until(view => view.settled && view.nodes.length === 2 && view.nodes.every(({ state }) => state === 'up'))
  const refused = tier.command('step-aside', 'a', '--quick')
  await refused.until(
    /no node can stand in for another: the tier has one alone, or its coordinator was started with --away-after 0/,
  )
  t.equal(await refused.ended, 1)
  await tier.end('a')
  t.notOk(existsSync(tier.file('a')), 'nor is a file left')
})
