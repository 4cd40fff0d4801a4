/**
 * Would the simulation notice? Each mutation breaks one rule of the compiled handoff, in a copy, and some seed must fail that does not
 * fail with the rule. See mutated.ts.
 */
import t from 'tap'
import { history } from './handoff.js'
import { type Edit, type Mutation, mutated } from './mutated.js'

interface HandoffMutation extends Mutation {
  /** One that notices, tried before the others. */
  seed?: number
  absence?: 'pauses' | 'crashes' | 'asides'
}

const handoff = (name: string, find: string, replace: string): Edit => ({
  file: `lib/handoff/${name}.js`,
  find,
  replace,
})

const MUTATIONS: HandoffMutation[] = [
  {
    rule: 'first touch takes: a node serves a key of an unsettled arc without taking it',
    edits: [
      handoff(
        'taker',
        'return this.#take(key, { generation: start, source, asked: source }, waiter)',
        "return 'owned'",
      ),
    ],
  },
  {
    rule: 'a source hands over only what it owns: it answers before its own take of an earlier generation has ended',
    edits: [
      handoff(
        'source',
        'const acquired = this.#taker.acquire(key, before, { owned: handOver, blind, failed })',
        "const acquired = 'owned'",
      ),
    ],
  },
  {
    rule: 'a source that has not settled an earlier generation itself says wait',
    edits: [handoff('source', 'const wait = this.#taker.unsettledBefore(generation)', 'const wait = false')],
  },
  {
    rule: 'what was decided for a later tenure stays decided, whatever comes late for an earlier one',
    seed: 1026699,
    absence: 'pauses',
    edits: [handoff('taker', ', this.#store.held(key) - 1)', ')')],
  },
  {
    rule: 'what is not confirmed is sent again',
    edits: [handoff('stream', 'return this.#unconfirmed.map(', 'return [].map(')],
  },
  {
    rule: 'a batch that overwrites a newer value: what was seen before is installed again, whatever is held',
    seed: 22,
    edits: [
      handoff('stream', 'if (seq <= this.#seq)\n            return false;', ''),
      handoff('stream', 'assert(seq === this.#seq + 1', 'assert(true'),
      handoff('taker', 'ack: state.received.seq });\n        for', 'ack: 0 });\n        for'),
      handoff('stream', 'this.confirm(received);', ''),
      {
        file: 'test/simulation/model-store.js',
        find: 'held && held.mark >= mark && held.version >= version',
        replace: 'false',
      },
    ],
  },
  {
    rule: 'a copy is sent again to the same incarnation only',
    edits: [
      handoff('source', 'state.stream.resume(incarnation, 0);\n            state.walks.clear();', ''),
      handoff('stream', 'if (incarnation !== this.#incarnation)', 'if (false)'),
    ],
  },
  {
    rule: 'a higher epoch is loaded before anything else',
    edits: [handoff('handoff', 'if (epoch <= this.#epoch && !behind)', 'if (true)')],
  },
  {
    rule: 'a walk that changes its way begins again',
    seed: 1245,
    edits: [handoff('source', 'Object.assign(walk, { pass: 1, cursor: 0 })', 'Object.assign(walk, { pass: 1 })')],
  },
  {
    rule: 'an arc is settled only when the source has nothing left',
    edits: [handoff('taker', "else if (message.state === 'done')", 'else')],
  },
  {
    rule: 'what is written while a node is away is logged before it is answered',
    seed: 30,
    absence: 'crashes',
    edits: [
      handoff(
        'handoff',
        'this.#hints.note(home, key, generations.epoch, record, failure => {',
        '(done => done(null))(failure => {',
      ),
    ],
  },
  {
    rule: 'what a home kept in its memory counts again when it is back',
    absence: 'pauses',
    edits: [handoff('taker', 'if (own !== null && !isLost', 'if (false && !isLost')],
  },
  {
    rule: 'what was handed over is called deleted in the log first',
    absence: 'crashes',
    edits: [
      handoff('source', 'if (record)\n            this.#hints.bury(', 'if (false)\n            this.#hints.bury('),
    ],
  },
  {
    rule: 'while the source is away, only a node that surely never gave the key away may give it',
    seed: 1255,
    absence: 'pauses',
    edits: [handoff('taker', 'return record !== null && !this.#store.isDeletion(record)', 'return true')],
  },
  {
    rule: 'a node that asked another in the place of an absent one waits for the answer before it says that it knows nothing',
    seed: 244,
    absence: 'pauses',
    edits: [handoff('source', 'if (this.#taker.isInDoubt(key, start))', 'if (false)')],
  },
  {
    rule: 'where there is no log for a node that was away, nothing was lost',
    seed: 12,
    absence: 'pauses',
    edits: [
      handoff(
        'logged-hints',
        'return this.#log === null || this.isLossy(home)',
        'return !this.#log?.homes().includes(home) || this.isLossy(home)',
      ),
    ],
  },
  {
    rule: 'a logged write outlives no newer one: it is dropped before its arc is unguarded',
    seed: 716,
    absence: 'crashes',
    edits: [
      handoff(
        'handoff',
        'if (useless.length === 0 && moving.length === 0 && !this.#mustBeSafe(generations))',
        'if (true)',
      ),
    ],
  },
  {
    rule: 'what a lossy log makes a miss is taken from whoever may know something older, all the same',
    seed: 511,
    absence: 'pauses',
    edits: [
      handoff('taker', 'const acquired = this.#fromSource(own, arc, tenure, {', "const acquired = 'owned'; void ({"),
    ],
  },
  {
    rule: 'no generation is forgotten while a log that it explains is still needed',
    seed: 1380,
    absence: 'pauses',
    edits: [handoff('generations', 'if (!this.hasAbsence)\n            return true;', 'return true;')],
  },
  {
    rule: 'a node acts blind only when whoever acted before has heard that it does so no more',
    seed: 410040,
    absence: 'crashes',
    edits: [
      handoff('taker', "if (node === null)\n            return 'blind'", "if (true)\n            return 'blind'"),
    ],
  },
  {
    rule: 'what was kept for a home that acts again is not asked for any more',
    seed: 98,
    absence: 'crashes',
    edits: [handoff('taker', '!generations.isKeptOf(this.#self, generation, arc)', 'true')],
  },
  {
    rule: 'a message carries the generation that it speaks of, in force or not',
    seed: 92,
    edits: [
      {
        file: 'test/simulation/handoff.js',
        find: 'const epoch = node.handoff.spokenEpoch',
        replace: 'const epoch = node.handoff.epoch',
      },
    ],
  },
  {
    rule: 'what a log lost is told when the disk knows of it',
    seed: 1624,
    absence: 'crashes',
    edits: [
      handoff(
        'logged-hints',
        'return this.#log === null || (this.#aside.length === 0 && this.#log.areLossesSafe)',
        'return true',
      ),
    ],
  },
  {
    rule: 'what is set aside after a refused write is newer than what comes from the source',
    seed: 700818,
    absence: 'asides',
    edits: [handoff('taker', 'this.#hints.aside(key), ', '')],
  },
  {
    rule: 'what a log lost while another node was asked for the key is a miss, whatever it answers',
    seed: 701645,
    absence: 'pauses',
    edits: [handoff('taker', 'if (this.#missFrom(pending.key, pending.generation))', 'if (true)')],
  },
  {
    rule: 'whoever asks a node hears first of the flush_all that took what it knew',
    seed: 802257,
    absence: 'crashes',
    edits: [handoff('source', 'if (state && flushed > state.flushed)', 'if (false)')],
  },
  {
    rule: 'what waits to be sent again goes on expiring',
    seed: 720996,
    absence: 'pauses',
    edits: [handoff('stream', 'lain === 0', 'true')],
  },
  {
    rule: 'what the log refuses is not executed, and what was executed is undone',
    seed: 601069,
    absence: 'crashes',
    edits: [
      handoff('unsafe-writes', 'if (failure !== null)', 'if (false)'),
      handoff('handoff', 'const refusal = writes ? this.#hints.refusal(home, key) : null;', 'const refusal = null;'),
    ],
  },
]

const SEEDS = 600

const PARTS = ['lib/handoff', 'lib/ketama', 'lib/engine', 'test/simulation', 'test/handoff/memory-disk.js']

function violationOf(run: typeof history, seed: number, absence: HandoffMutation['absence']): string | null {
  try {
    const { violations } = run(seed, { cuts: true, ...(absence ? { absence } : { restarts: seed % 2 === 0 }) })
    return violations[0] ?? null
  } catch (error) {
    return String(error)
  }
}

for (const mutation of MUTATIONS) {
  t.test(mutation.rule, async t => {
    const { exports, remove } = await mutated<{ history: typeof history }>(
      mutation,
      PARTS,
      'test/simulation/handoff.js',
    )
    t.teardown(remove)
    const { absence, seed: known } = mutation
    const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1)
    for (const seed of known ? [known, ...seeds] : seeds) {
      const violation = violationOf(exports.history, seed, absence)
      if (violation === null || violationOf(history, seed, absence) !== null) continue
      t.pass(`caught by seed ${seed}: ${violation}`)
      return
    }
    t.fail(`no history of ${SEEDS} notices`)
  })
}
