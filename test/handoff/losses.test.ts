/**
 * What a hint log has lost is acted on when the disk knows it: a life that is killed before that leaves a log which the next one believes.
 * One node that stands in for another, with the real log on a disk in memory that breaks.
 */
import t from 'tap'
import { Handoff } from '../../lib/handoff/handoff.js'
import { HintLog } from '../../lib/handoff/hint-log.js'
import type { FsyncPolicy } from '../../lib/handoff/hint-sync.js'
import { LoggedHints } from '../../lib/handoff/logged-hints.js'
import type { Message } from '../../lib/handoff/wire.js'
import { ModelStore } from '../simulation/model-store.js'
import type { Op } from '../simulation/oracle.js'
import { mulberry } from '../simulation/random.js'
import { MemoryDisk } from './memory-disk.js'
import { NO_EFFECTS } from './no-effects.js'

const RULE = { dialect: 'libmemcached-weighted', pointsPerServer: 4 } as const
const REFUSED = 'the hint log of node 2 cannot be written'
const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`)

/** Node 1 of two; node 2 is away in generation 2, and back in 3. */
class StandIn {
  readonly disk = new MemoryDisk(mulberry(1))
  readonly said: Message[] = []
  readonly events: string[] = []
  store!: ModelStore
  handoff!: Handoff
  hints!: LoggedHints
  /** What clients were told, by ticket. */
  readonly answers = new Map<number, string>()
  readonly #executed = new Map<number, string>()
  #tickets = 0
  #lives = 0
  #now = 0

  constructor(readonly fsync: FsyncPolicy) {
    this.begin()
  }

  begin(): void {
    this.#lives++
    this.store = new ModelStore()
    const hints = new LoggedHints()
    this.hints = hints
    const { disk, fsync } = this
    const options = { disk, fsync, tier: 'test', seed: Buffer.from(`life ${this.#lives}`), wallClock: () => 1 }
    HintLog.open({ ...options, onEvent: sentence => this.events.push(sentence) }, log => hints.attach(log!, () => {}))
    this.disk.settle()
    this.handoff = new Handoff(
      this.store,
      {
        ...NO_EFFECTS,
        send: (_role, _peer, message) => this.said.push(message) > 0,
        granted: ticket => this.answers.set(ticket, 'again'),
        blind: ticket => this.answers.set(ticket, 'blind'),
        executed: ticket => this.answers.set(ticket, this.#executed.get(ticket)!),
        refused: (ticket, reason) => this.answers.set(ticket, reason),
      },
      undefined,
      hints,
      this.#lives === 1 ? 1 : 2,
    )
    this.tell(2)
  }

  /** The process is killed: its disk is as it is, and takes what it is given again. */
  restart(): void {
    this.disk.crash(false)
    this.disk.broken = null
    this.begin()
  }

  tell(epoch: number): void {
    const servers = [1, 2].map(number => ({ number, host: `h${number}`, port: 1, weight: 1 }))
    const generations = [1, 2, 3].slice(0, epoch).map(one => ({ epoch: one, servers, away: one === 2 ? [2] : [] }))
    this.handoff.setTopology({ self: 1, rule: RULE, generations, settled: new Set(), members: [] })
    this.disk.settle()
  }

  ask(key: string, op: Op): number {
    const ticket = ++this.#tickets
    const execute = (isBlind: boolean) => {
      const reply = this.store.serveGuarded(key, op)
      this.#executed.set(ticket, isBlind && !this.store.isInformed(key) ? `${reply}, blind` : reply)
      return true
    }
    this.handoff.guard(ticket, { key: Buffer.from(key), writes: op.verb !== 'get', execute })
    return ticket
  }

  /** With all that the disk does meanwhile. */
  answer(key: string, op: Op): string | undefined {
    const ticket = this.ask(key, op)
    this.disk.settle()
    return this.answers.get(ticket)
  }

  get(key: string): string | undefined {
    return this.answer(key, { verb: 'get', value: '' })
  }

  tick(): void {
    this.#now += 100
    this.handoff.tick(this.#now, 0)
    this.disk.settle()
  }

  breakDisk(): void {
    this.disk.broken = operation => operation === 'write' || operation === 'sync' || operation === 'remove'
  }
}

/** A stand-in with two keys of node 2 in its log, the first of which memory has evicted. */
function standIn(fsync: FsyncPolicy = 1000): { node: StandIn; key: string; other: string } {
  const node = new StandIn(fsync)
  const [key, other] = KEYS.filter(name => node.store.isGuarded(name))
  if (!key || !other) throw new Error('node 2 has keys')
  for (const name of [key, other]) node.answer(name, { verb: 'set', value: `first of ${name}` })
  node.store.items.delete(key)
  return { node, key, other }
}

t.test('a miss for what a log has lost is told when the disk knows it (crashes, seed 22177)', async t => {
  const { node, key, other } = standIn()
  t.equal(node.get(key), `hit first of ${key}`)
  node.store.items.delete(key)
  node.breakDisk()
  t.match(node.answer(other, { verb: 'set', value: 'second' }), REFUSED)
  t.match(node.events, [/overflowed/])
  t.match(node.get(key), REFUSED, 'neither a hit nor a miss')
  t.match(node.get(KEYS.find(name => node.store.isGuarded(name) && name !== key && name !== other)!), REFUSED)
  node.tick()
  t.match(node.get(key), REFUSED)
  node.restart()
  t.equal(node.get(key), `hit first of ${key}`, 'the next life believes the log, as nobody was told otherwise')
})

t.test('a write that the log refuses is undone, and the next one is not executed', async t => {
  const { node, other } = standIn()
  node.breakDisk()
  t.match(node.answer(other, { verb: 'set', value: 'second' }), REFUSED)
  const late = node.ask(other, { verb: 'set', value: 'third' })
  t.match(node.answers.get(late), REFUSED, 'at once')
  t.match(node.get(other), REFUSED, 'whatever a later life would find')
  node.disk.broken = null
  node.tick()
  t.equal(node.get(other), `hit first of ${other}`)
})

t.test('a write that the log refused is not there after a restart before the disk knew', async t => {
  const { node, other } = standIn()
  node.breakDisk()
  t.match(node.answer(other, { verb: 'set', value: 'second' }), REFUSED)
  node.restart()
  t.equal(node.get(other), `hit first of ${other}`)
})

t.test(
  'nobody reads what a refused write left until the disk knows: its sync failed (crashes, seed 460409)',
  async t => {
    const { node, other } = standIn('always')
    node.disk.broken = (operation, name) => operation !== 'write' || name.endsWith('.log')
    t.match(node.answer(other, { verb: 'set', value: 'second' }), REFUSED)
    t.match(node.get(other), REFUSED)
    node.tick()
    t.match(node.get(other), REFUSED)
    node.restart()
    t.equal(node.get(other), 'hit second', 'its record is in the file')
  },
)

t.test('a logged write that cannot be read is called missing when the disk knows it', async t => {
  const { node, key } = standIn()
  node.disk.broken = () => true
  t.match(node.get(key), REFUSED)
  t.match(node.get(key), REFUSED)
  node.restart()
  t.equal(node.get(key), `hit first of ${key}`)
})

t.test('once the disk knows, it is a miss in this life and in the next', async t => {
  const { node, key, other } = standIn()
  node.breakDisk()
  node.answer(other, { verb: 'set', value: 'second' })
  const early = node.ask(key, { verb: 'get', value: '' })
  node.disk.settle()
  t.match(node.answers.get(early), REFUSED)
  node.disk.broken = null
  node.tick()
  t.equal(node.get(key), 'miss')
  node.restart()
  t.equal(node.get(key), 'miss')
})

t.test('a log that is over a limit: who asks before that is on the disk waits for it', async t => {
  const { node, key, other } = standIn()
  const third = KEYS.find(name => node.store.isGuarded(name) && name !== key && name !== other)!
  node.disk.capacity = [...node.disk.files.values()].reduce((sum, file) => sum + file.length, 0)
  const write = node.ask(other, { verb: 'set', value: 'second' })
  while (node.events.length === 0) node.disk.step()
  const read = node.ask(third, { verb: 'get', value: '' })
  t.same([node.answers.has(write), node.answers.has(read)], [false, false])
  node.disk.settle()
  t.equal(node.answers.get(write), 'STORED')
  t.equal(node.answers.get(read), 'miss')
  t.equal(node.get(key), `hit first of ${key}`, 'in this life the log still has it')
  node.restart()
  t.equal(node.get(key), 'miss')
})

t.test('a stand-in gives nothing away, and calls nothing void, that its disk does not know to be lost', async t => {
  const { node, key, other } = standIn()
  node.breakDisk()
  node.answer(other, { verb: 'set', value: 'second' })
  node.tell(3)
  node.handoff.linkUp('source', 2, 'home')
  const take = (name: string, id: number): Message => ({
    ...{ type: 'take', id, generation: 3, ack: 0, key: Buffer.from(name) },
  })
  const ask = (message: Message) => {
    node.said.length = 0
    node.handoff.onMessage('source', 2, 3, message)
    node.disk.settle()
    return node.said.at(-1)
  }
  t.match(ask(take(key, 1)), { type: 'declined', reason: REFUSED })
  t.match(ask(take(other, 2)), { type: 'declined', reason: REFUSED }, 'also what memory holds')
  const pull: Message = { type: 'pull', id: 3, generation: 3, ack: 0, bytesMax: 1000 }
  t.match(ask(pull), { type: 'batch', state: 'wait', records: [] })
  node.disk.broken = null
  node.tick()
  t.match(ask(take(key, 4)), { type: 'taken', record: null })
  t.match(ask(take(other, 5)), { type: 'taken', record: Uint8Array })
})

t.test('what cannot be called deleted in the log is not handed over', async t => {
  const { node, other } = standIn()
  node.tell(3)
  node.handoff.linkUp('source', 2, 'home')
  node.breakDisk()
  const key = Buffer.from(other)
  node.handoff.onMessage('source', 2, 3, { type: 'take', id: 1, generation: 3, ack: 0, key })
  node.disk.settle()
  t.match(node.said.at(-1), { type: 'declined', reason: REFUSED })
  t.ok(node.store.items.has(other))
  node.disk.broken = null
  node.handoff.onMessage('source', 2, 3, { type: 'pull', id: 2, generation: 3, ack: 0, bytesMax: 1000 })
  node.disk.settle()
  t.match(node.said.at(-1), { type: 'batch', state: 'wait' })
})

t.test('a picture that ends an outage waits for a log that may still be believed', async t => {
  const { node, other } = standIn()
  node.breakDisk()
  node.answer(other, { verb: 'set', value: 'second' })
  const servers = [1, 2].map(number => ({ number, host: `h${number}`, port: 1, weight: 1 }))
  node.handoff.setTopology({
    ...{ self: 1, rule: RULE, settled: new Set<number>(), members: [] },
    generations: [{ epoch: 3, servers, away: [] }],
  })
  node.tick()
  t.equal(node.handoff.epoch, 2)
  node.disk.broken = null
  node.tick()
  node.tick()
  t.equal(node.handoff.epoch, 3)
  t.same([...node.hints.homes()], [])
})
