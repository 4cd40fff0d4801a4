// Prints what failed in a run of tap, each failure with its surroundings, and then the summary as one plain line:
// "N passed, N failed, N skipped". A log of 25,000 assertions is often shown by its end only.
import { readFileSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'

const SHOWN = 20 // failures
const AFTER = 40 // lines of the diagnostic below each

const lines = stripVTControlCharacters(readFileSync(process.argv[2], 'utf8')).split('\n')
const indent = line => line.length - line.trimStart().length

/** The subtests around line `index`, outermost first: each is announced by a "# Subtest:" above it, less indented. */
const pathTo = index => {
  const path = []
  let within = indent(lines[index])
  for (let above = index; above >= 0 && within > 0; above--) {
    const line = lines[above]
    if (!line.trimStart().startsWith('# Subtest: ') || indent(line) >= within) continue
    path.unshift(line.trim().slice('# Subtest: '.length))
    within = indent(line)
  }
  return path
}

/** Failures that no failure further in explains: a test fails with what is inside it, which has already been said. */
const failures = []
let innermost = Number.POSITIVE_INFINITY // the indent of what is left to be explained by the last failure
for (const [index, line] of lines.entries()) {
  if (!/^\s*not ok\b(?!.*# TODO)/.test(line)) continue
  const explained = indent(line) < innermost && innermost < Number.POSITIVE_INFINITY
  innermost = indent(line) || Number.POSITIVE_INFINITY
  if (!explained) failures.push({ index, below: lines.slice(index + 1, index + 1 + AFTER) })
}
for (const { index, below } of failures.slice(0, SHOWN)) {
  console.log(`\nFAILED: ${[...pathTo(index), lines[index].trim()].join(' > ')}`)
  const end = below.findIndex(line => line.trim() === '...')
  if (below[0]?.trim().startsWith('---')) console.log(below.slice(0, end < 0 ? AFTER : end + 1).join('\n'))
}
if (failures.length > SHOWN) console.log(`\nand ${failures.length - SHOWN} more failures`)

const asserts = lines.filter(line => /Asserts:|^# \{/.test(line)).at(-1) ?? ''
const count = word =>
  Number((new RegExp(`(\\d+) ${word}`).exec(asserts) ?? new RegExp(`${word}: (\\d+)`).exec(asserts))?.[1] ?? 0)
console.log(`${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`)
