/** npm's hashring, which has no types, and the golden answers that it ships. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type HashRing from '../../lib/hashring/hashring.js'

const require = createRequire(import.meta.url)

export const Original = require('hashring') as typeof HashRing

/** `<i> <server>` for the keys 0 to 99,999. */
export function golden(name: string): string[] {
  const folder = join(dirname(require.resolve('hashring/package.json')), 'tests/fixtures')
  return readFileSync(join(folder, name), 'utf8').split('\n')
}
