/**
 * memcached's own test files against `continuum server`: what each of them gives is held against the list in
 * memcached-tests.ts. A file that passes although the list says otherwise is a failure too, and so is one that the
 * list does not know.
 */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fetchSource } from './memcached-source.js'
import { type Expected, FILES, SLOW } from './memcached-tests.js'
import { CONTINUUM, has, temporaryFolder } from './processes.js'

/** They mostly sleep. */
const AT_ONCE = 3
const FILE_LIMIT_MS = 180_000
const LINE_MAX = 500
const OUTPUT_MAX = 16_000_000
/** Those that take long, too: `npm run test:memcached`. */
const ALL = process.env.MEMCACHED_TESTS === 'all'
const ONLY = process.env.MEMCACHED_TESTS_ONLY?.split(',')

/** What the test files start under these names. A signal to it reaches the server. */
function writePrograms(folder: string): void {
  // Each file asks for the help half a dozen times to know what is there: the server said it once.
  const help = join(folder, 'help')
  writeFileSync(help, execFileSync(process.execPath, [CONTINUUM, 'server', '-h']))
  const server = (...flags: string[]) =>
    [
      '#!/bin/sh',
      `[ "$*" = -h ] && exec cat "${help}"`,
      `exec "${process.execPath}" "${CONTINUUM}" server ${flags.join(' ')} "$@"\n`,
    ].join('\n')
  const programs = {
    'memcached-debug': server('--debug-commands'),
    memcached: server(),
    // Its first argument is a limit in seconds; ours is FILE_LIMIT_MS. The server does not share the file's stdout, which
    // Node would make non-blocking: what the file says at length would be lost.
    timedrun: '#!/bin/sh\nshift\nexec "$@" >/dev/null\n',
  }
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(folder, name), text)
    chmodSync(join(folder, name), 0o755)
  }
}

interface Outcome {
  /** All assertions passed, as many as were planned, and the process ended well. */
  passed: boolean
  failed: number[]
  output: string
  ms: number
}

/** Runs one file with prove; it and all that it started are one process group, which ends with it. */
function prove(folder: string, file: string): Promise<Outcome> {
  const begin = Date.now()
  const child = spawn('prove', ['--verbose', join('t', file)], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, LC_ALL: 'C', ...(file.startsWith('ssl_') ? { SSL_TEST: '1' } : {}) },
  })
  let output = ''
  let begun = ''
  // Of long lines the beginning: some are whole values.
  const hear = (bytes: Buffer) => {
    const lines = (begun + bytes.toString('latin1')).split('\n')
    begun = lines.pop()!.slice(0, LINE_MAX)
    output = lines.reduce((sum, line) => `${sum}${line.slice(0, LINE_MAX)}\n`, output).slice(-OUTPUT_MAX)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const end = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Everybody of the group is gone.
    }
  }
  const limit = setTimeout(() => {
    output += '\nended by the runner: too slow\n'
    end()
  }, FILE_LIMIT_MS)
  return new Promise(resolve =>
    child.on('exit', code => {
      clearTimeout(limit)
      end()
      const failed = [...output.matchAll(/^not ok (\d+)(?!.*# TODO)/gm)].map(match => Number(match[1]))
      resolve({ passed: code === 0, failed, output, ms: Date.now() - begin })
    }),
  )
}

/** Null, or what is not as the list says. */
function difference(expected: Expected, { passed, failed, output }: Outcome): string | null {
  if (expected !== 'pass' && 'left' in expected) return null
  const wanted = expected === 'pass' ? [] : Object.keys(expected.differs ?? {}).map(Number)
  if (passed) return wanted.length === 0 ? null : 'passes now: it has no known difference any more'
  const complete =
    failed.length > 0 &&
    /^Result: FAIL/m.test(output) &&
    !/Bad plan|planned \d+ tests? but ran|Dubious, test returned 255/.test(output)
  const same = wanted.length === failed.length && wanted.every(number => failed.includes(number))
  return complete && same
    ? null
    : `failed: ${failed.join(', ')}, known: ${wanted.join(', ')}${complete ? '' : tail(output)}`
}

/** The file says what is answered here. */
function edit(path: string, edits: readonly (readonly [RegExp, string])[]): void {
  const text = readFileSync(path, 'latin1')
  writeFileSync(
    path,
    edits.reduce((sum, [pattern, to]) => sum.replace(pattern, to), text),
    'latin1',
  )
}

const tail = (output: string) => `\n${output.slice(-1500)}`

function isRun(file: string): boolean {
  const expected = FILES[file]
  return expected !== undefined && (expected === 'pass' || !('left' in expected)) && (ALL || !SLOW.has(file))
}

t.setTimeout(0)
const missing = ['apt-get', 'dpkg-source', 'prove'].filter(program => !has(program))
const place = temporaryFolder()
t.teardown(() => place.remove())
const isWanted = process.env.MEMCACHED_TESTS !== undefined || ONLY !== undefined
const source = !isWanted
  ? {
      ok: false as const,
      why: 'npm run test:memcached runs them, MEMCACHED_TESTS=some the quicker ones; they take some minutes',
    }
  : missing.length > 0
    ? { ok: false as const, why: `${missing.join(', ')} missing` }
    : fetchSource(place.path)

if (!source.ok) t.pass('skipped', { skip: source.why })
else {
  writePrograms(source.folder)
  const files = readdirSync(join(source.folder, 't')).filter(name => name.endsWith('.t'))
  t.test('the list has every file, and no other', async t => {
    t.same(
      files.filter(name => !FILES[name]),
      [],
      'files that the list does not know',
    )
    t.same(
      [...Object.keys(FILES), ...SLOW].filter(name => !files.includes(name)),
      [],
      'files that are gone',
    )
  })
  t.test('every file as the list says', { timeout: 1_700_000 }, async t => {
    const waiting = files.filter(name => (ONLY ? ONLY.includes(name) : isRun(name)))
    const again: string[] = []
    const work = async (queue: string[], judge: (file: string, problem: string | null, outcome: Outcome) => void) => {
      for (let file = queue.shift(); file; file = queue.shift()) {
        const expected = FILES[file]!
        if (expected !== 'pass' && 'edited' in expected) edit(join(source.folder, 't', file), expected.edited ?? [])
        const outcome = await prove(source.folder, file)
        const problem = difference(expected, outcome)
        judge(file, problem, outcome)
      }
    }
    const say = (file: string, problem: string | null, { ms }: Outcome) =>
      t.equal(problem, null, `${file} (${(ms / 1000).toFixed(1)} s)`)
    const first = () =>
      work(waiting, (file, problem, outcome) => (problem ? again.push(file) : say(file, problem, outcome)))
    await Promise.all(Array.from({ length: AT_ONCE }, first))
    // Many of the files give the server half a second for this and that: on a busy machine that is only fair alone.
    await work(again, say)
  })
}
