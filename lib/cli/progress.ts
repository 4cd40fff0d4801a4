/**
 * Shows running migrations while they run: bars in a terminal, a line now and then elsewhere, one JSON object a line for
 * machines. Knows nothing of stores.
 */
import { MultiBar, Presets, type SingleBar } from 'cli-progress'
import { say } from './output.js'
import { type Migration, migrationDetail, migrationText, type TierView } from './tier-view.js'

export interface ProgressView {
  show(view: TierView): void
  end(): void
}

export function createProgress(json: boolean): ProgressView {
  if (json) return new JsonLines()
  return process.stdout.isTTY ? new Bars() : new Lines()
}

/** Those that have begun: a taker that has not reported yet has nothing to show. */
function runningMigrations(view: TierView): Migration[] {
  return (view.changes.find(change => change.state === 'running')?.migrations ?? []).filter(one => one.arcs > 0)
}

class JsonLines implements ProgressView {
  #last = ''

  show(view: TierView): void {
    const text = JSON.stringify(view)
    if (text !== this.#last) say(text)
    this.#last = text
  }

  end(): void {}
}

/** A change of the whole second, or of who is settled, is worth a line. */
const LINE_EVERY_MS = 1000

class Lines implements ProgressView {
  readonly #last = new Map<string, { text: string; at: number; settled: boolean }>()
  #waits = ''

  show(view: TierView): void {
    const now = Date.now()
    this.#showWaits(view)
    for (const one of runningMigrations(view)) {
      const text = migrationText(one)
      const last = this.#last.get(one.node)
      const due = !last || one.settled !== last.settled || now - last.at >= LINE_EVERY_MS
      if (last?.text === text || !due) continue
      say(text)
      this.#last.set(one.node, { text, at: now, settled: one.settled })
    }
  }

  #showWaits(view: TierView): void {
    const waiting = view.changes.find(change => change.waits !== undefined)
    const text = waiting ? `change ${waiting.id} (${waiting.kind} ${waiting.node}) ${waiting.waits}` : ''
    if (text !== this.#waits && text !== '') say(text)
    this.#waits = text
  }

  end(): void {}
}

const BAR_STEPS = 1000

class Bars implements ProgressView {
  #multi: MultiBar | null = null
  #bars = new Map<string, SingleBar>()
  #change = -1

  show(view: TierView): void {
    const change = view.changes.find(one => one.state === 'running')
    if (change && change.id !== this.#change) {
      this.end()
      this.#change = change.id
      say(`${change.kind} ${change.node} (generation ${change.epoch})`)
    }
    for (const one of runningMigrations(view)) this.#bar(one).update(Math.floor(one.fraction * BAR_STEPS), payload(one))
    if (!change) this.#complete()
  }

  #bar(one: Migration): SingleBar {
    this.#multi ??= new MultiBar(
      { format: '{node} {bar} {percentage}% {detail}', barsize: 24, clearOnComplete: false, hideCursor: true },
      Presets.shades_classic,
    )
    const known = this.#bars.get(one.node)
    if (known) return known
    const bar = this.#multi.create(BAR_STEPS, 0, payload(one))
    this.#bars.set(one.node, bar)
    return bar
  }

  /** The change is done: what was last seen of it may have been a moment before the end. */
  #complete(): void {
    for (const bar of this.#bars.values()) bar.update(BAR_STEPS, { detail: 'settled' })
    this.end()
  }

  end(): void {
    this.#multi?.stop()
    this.#multi = null
    this.#bars = new Map()
  }
}

function payload(one: Migration): { node: string; detail: string } {
  return { node: one.node.padEnd(8), detail: migrationDetail(one) }
}
