// Prints tap's summary of a run as one plain line: "N passed, N failed, N skipped".
import { readFileSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'

const lines = stripVTControlCharacters(readFileSync(process.argv[2], 'utf8')).split('\n')
const asserts = lines.filter(line => /Asserts:|^# \{/.test(line)).at(-1) ?? ''
const count = word =>
  Number((new RegExp(`(\\d+) ${word}`).exec(asserts) ?? new RegExp(`${word}: (\\d+)`).exec(asserts))?.[1] ?? 0)
console.log(`${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`)
