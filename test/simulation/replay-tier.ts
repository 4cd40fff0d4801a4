/** Prints one history of a whole simulated tier: `node dist/test/simulation/replay-tier.js SEED [plain|restarts|coordinator|both]`. */
import { MODES, type Mode, tierHistory } from './load.js'

const [seed = '1', mode = 'plain'] = process.argv.slice(2)
const { violations, requests, errors } = tierHistory(Number(seed), {
  flushes: true,
  ...MODES[mode as Mode],
  trace: line => process.stdout.write(`${line}\n`),
})
process.stdout.write(`${requests} requests, ${errors} errors; ${violations.join('\n') || 'no violation'}\n`)
process.exitCode = violations.length > 0 ? 1 : 0
