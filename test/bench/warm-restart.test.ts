/** The experiment itself, small: a full node is back with all its keys. */
import t from 'tap'
import { runWarmRestart, warmRestartText } from '../../bench/warm-restart.js'

t.test('every key is back with its value', { timeout: 180_000 }, async t => {
  const report = await runWarmRestart({ memoryMb: 64, threads: 2, valueBytes: 2000 })
  t.match(report, { missing: 0, wrong: 0, passed: true })
  t.ok(report.items > 10_000, `${report.items} items`)
  t.ok(report.fileBytes > 32 << 20, `${report.fileBytes} bytes of memory were in the file`)
  t.match(warmRestartText(report), /every key is back with its value/)
})
