/**
 * `npm run fuzz -- --inputs 10000000 [--seed 1] [--minutes 9]`: fuzzing for as long as wanted. Rounds of 100,000 inputs, each with a
 * seed of its own; one line on the first failure, with the command that replays its round. `--trace` prints the last input.
 */
import { parseArgs } from 'node:util'
import { runRound } from './fuzz.js'

const ROUND = 100_000

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '1000' },
    trace: { type: 'boolean', default: false },
  },
})
const inputs = Number(values.inputs)
const until = Date.now() + Number(values.minutes) * 60_000
const shapes = new Set<string>()
let seed = Number(values.seed)
let done = 0
let requests = 0
while (done < inputs && Date.now() < until) {
  const trace = values.trace
    ? (input: number, text: string, replies: string) => console.log(input, [text, replies])
    : undefined
  const result = runRound({ seed, inputs: Math.min(ROUND, inputs - done), ...(trace ? { trace } : {}) })
  done += result.inputs
  requests += result.requests
  for (const shape of result.shapes) shapes.add(shape)
  if (result.failure !== null) {
    console.log(`npm run fuzz -- ${result.failure}`)
    process.exit(1)
  }
  seed++
}
console.log(
  `${done} inputs with ${requests} requests, ${shapes.size} kinds of exchanges, seeds ${values.seed} to ${seed - 1}`,
)
