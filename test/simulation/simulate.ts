/**
 * The simulation of lib/handoff for as long as wanted, or one history to be read.
 *   npm run simulate -- --seeds 100000 [--from 1] [--mode pauses|crashes|asides|all]     ends at the first that fails, and shrinks it
 *   npm run simulate -- --seed 17 --mode crashes [--shrink]                        prints what happens
 * Exit code 1: a history failed, or an option was wrong.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { type History, type HistoryOptions, history } from './handoff.js'
import { shrink } from './shrink.js'

const MODES = ['pauses', 'crashes', 'asides'] as const
type Mode = (typeof MODES)[number]
const PROGRESS_MS = 1000

interface Flags {
  seeds?: number
  seed?: number
  from: number
  mode: Mode | 'all'
  shrink?: boolean
}

function count(text: string): number {
  const number = Number(text)
  if (/^\d{1,10}$/.test(text) && number >= 1) return number
  throw new InvalidArgumentError(`"${text}" is not a whole number from 1 to 9999999999.`)
}

/** A history that throws has failed, too. */
function play(seed: number, options: HistoryOptions): History {
  try {
    return history(seed, options)
  } catch (error) {
    const violations = [error instanceof Error ? (error.stack ?? error.message) : String(error)]
    return { violations, requests: 0, takes: 0, steps: options.steps ?? 0, disturbed: [], requested: [] }
  }
}

const optionsOf = (mode: Mode): HistoryOptions => ({ cuts: true, absence: mode })
const say = (line: string) => void process.stdout.write(`${line}\n`)

function tell(seed: number, mode: Mode): boolean {
  const { violations, requests } = play(seed, { ...optionsOf(mode), trace: say })
  say(`seed ${seed}, ${mode}, ${requests} requests: ${violations.join('\n') || 'no violation'}`)
  return violations.length === 0
}

function tellShrunk(seed: number, mode: Mode): void {
  const { options, history: small, tried } = shrink(cut => play(seed, cut), optionsOf(mode))
  say(`shrunk in ${tried} histories to ${small.requested.length} requests and ${small.disturbed.length} disturbances:`)
  const { violations } = play(seed, { ...options, trace: say })
  say(violations.join('\n'))
}

function simulate({ seeds = 1000, from, mode }: Flags): boolean {
  const modes: readonly Mode[] = mode === 'all' ? MODES : [mode]
  const startedAt = Date.now()
  let saidAt = startedAt
  const totals = { histories: 0, requests: 0, takes: 0 }
  for (let seed = from; seed < from + seeds; seed++) {
    for (const one of modes) {
      const { violations, requests, takes } = play(seed, optionsOf(one))
      totals.histories++
      totals.requests += requests
      totals.takes += takes
      if (violations.length > 0) {
        if (process.stderr.isTTY) process.stderr.write('\n')
        tellShrunk(seed, one)
        say(`seed ${seed} fails after ${totals.histories} histories: ${violations[0]}`)
        say(`npm run simulate -- --seed ${seed} --mode ${one}`)
        return false
      }
    }
    if (Date.now() - saidAt < PROGRESS_MS) continue
    saidAt = Date.now()
    const perSec = totals.histories / ((saidAt - startedAt) / 1000)
    const left = ((from + seeds - 1 - seed) * modes.length) / perSec
    const line = `seed ${seed} of ${from} to ${from + seeds - 1}, ${perSec.toFixed(1)} histories a second, ${Math.ceil(left)} s left`
    process.stderr.write(process.stderr.isTTY ? `\r${line}   ` : `${line}\n`)
  }
  const { histories, requests, takes } = totals
  say(
    `${histories} histories, seeds ${from} to ${from + seeds - 1}, ${mode}: ${requests} requests, ${takes} takes, no violation`,
  )
  return true
}

const program = new Command('simulate')
  .description('simulates handoff between nodes that fail in every way, from seeds')
  .addOption(new Option('--seeds <count>', 'so many seeds, 1000 if nothing is said').argParser(count).conflicts('seed'))
  .addOption(new Option('--from <seed>', 'the first of them').argParser(count).default(1))
  .addOption(new Option('--seed <seed>', 'this one, with all that happens').argParser(count))
  .addOption(
    new Option('--mode <mode>', 'nodes are paused, or also killed, or step aside')
      .choices([...MODES, 'all'])
      .default('all'),
  )
  .addOption(new Option('--shrink', 'with --seed: the smallest part of it that still fails'))
program.parse()
const flags = program.opts<Flags>()

if (flags.seed === undefined) process.exitCode = simulate(flags) ? 0 : 1
else {
  for (const mode of flags.mode === 'all' ? MODES : [flags.mode]) {
    if (flags.shrink && play(flags.seed, optionsOf(mode)).violations.length > 0) {
      tellShrunk(flags.seed, mode)
      process.exitCode = 1
    } else if (!tell(flags.seed, mode)) process.exitCode = 1
  }
}
