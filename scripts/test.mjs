// Runs the tests: all of them in CI or with CI=1; otherwise without the slowest files, so that it stays below ten minutes.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Real processes under load or faults for the most part; what they test is tested by simulations or in the small as well. */
const SLOW = [
  ...['bench/compare', 'bench/load', 'bench/outage', 'client/faults', 'client/wire', 'cli/ring'],
  ...['interop/migration-faults', 'interop/step-aside', 'simulation/fencing-mutations'],
].map(name => `dist/test/${name}.test.js`)

const isAll = Boolean(process.env.CI)
if (!isAll) console.log(`without ${SLOW.length} slow files, which run with CI=1: ${SLOW.join(' ')}`)
const manifest = createRequire(import.meta.url).resolve('tap/package.json')
const { bin } = createRequire(import.meta.url)(manifest)
const tap = join(dirname(manifest), typeof bin === 'string' ? bin : bin.tap)
// tap makes itself again without the plugins that .taprc leaves out. Left to the run itself, their loaders would still be in every
// file of the first run, and the only run of CI is the first.
if (!existsSync('.tap/plugins')) spawnSync(process.execPath, [tap, 'build'], { stdio: 'inherit' })
// Given here, they take the place of those in .taprc.
const excluded = ['**/fixtures/**', ...(isAll ? [] : SLOW)].map(glob => `--exclude=${glob}`)
const { status } = spawnSync(process.execPath, [tap, ...excluded, ...process.argv.slice(2)], { stdio: 'inherit' })
process.exit(status ?? 1)
