/**
 * A process that appends to a hint log and says on stdout what is safe, for hint-files.test.ts: `FOLDER FIRST COUNT SEGMENT_BYTES FSYNC`. Entry n
 * is the value `n` of key `k<n mod 50>`.
 */
import { writeSync } from 'node:fs'
import { encodeRecord } from '../../lib/engine/record.js'
import { openHintLog } from '../../lib/server/hint-files.js'

const IN_FLIGHT = 64
const [folder, first, count, segmentBytesMax, fsync] = process.argv.slice(2) as [string, string, string, string, string]
const { log } = await openHintLog(folder, {
  tier: 'test',
  onEvent: sentence => writeSync(1, `# ${sentence}\n`),
  limits: { segmentBytesMax: Number(segmentBytesMax) },
  fsync: fsync === 'always' ? 'always' : 100,
})
const timer = setInterval(() => log.tick(performance.now()), 10)
let next = Number(first)
let safe = 0
const append = () => {
  if (next === Number(first) + Number(count)) return
  const n = next++
  const value = Buffer.from(`${n} ${'x'.repeat(n % 3000)}`)
  const rest = { flags: 0, toLiveSec: null, fetched: false, active: false }
  const record = encodeRecord({ key: Buffer.from(`k${n % 50}`), value, version: BigInt(n), ...rest })
  log.append(3, { generation: 8, record }, failure => {
    writeSync(1, failure === null ? `${n}\n` : `! ${failure}\n`)
    if (++safe === Number(count)) clearInterval(timer)
    else setImmediate(append)
  })
}
for (let n = 0; n < IN_FLIGHT; n++) append()
