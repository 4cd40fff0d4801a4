/** Prints one history of the pure handoff: `node dist/test/simulation/replay.js SEED [plain|cuts|restarts|pauses|crashes|asides]`. */
import { history } from './handoff.js'

const [seed = '1', mode = 'plain'] = process.argv.slice(2)
const { violations, requests } = history(Number(seed), {
  cuts: mode !== 'plain',
  restarts: mode === 'restarts',
  ...(mode === 'pauses' || mode === 'crashes' || mode === 'asides' ? { absence: mode } : {}),
  trace: line => process.stdout.write(`${line}\n`),
})
process.stdout.write(`${requests} requests; ${violations.join('\n') || 'no violation'}\n`)
process.exitCode = violations.length > 0 ? 1 : 0
