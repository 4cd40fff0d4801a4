/**
 * The examples of the documents are run as they stand, on a real memcached, and print what they say that they print. Every class
 * that the library entries export has its page, which names each of its methods.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import * as client from '../../lib/client/index.js'
import HashRing from '../../lib/hashring/hashring.js'
import * as ketama from '../../lib/ketama/index.js'
import { HOST, memcached, withoutMemcached } from './servers.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

interface Example {
  name: string
  code: string
  /** Lines that it says it prints: behind a console.log, or as comments below it. */
  prints: string[]
}

function examplesOf(page: string): Example[] {
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  return [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = ''], index) => {
    const prints = code.split('\n').flatMap(line => {
      const [, said] = /console\.log\(.*\) \/\/ (.*)$/.exec(line) ?? /^\/\/ (.*)$/.exec(line) ?? []
      return said === undefined ? [] : [said]
    })
    return { name: `${page}, example ${index + 1}`, code, prints }
  })
}

const PAGES = ['RING.md', 'HASHRING.md', 'CLIENT.md', 'NAMESPACE.md', 'ERRORS.md', 'MIGRATING.md']

for (const page of PAGES) {
  t.test(page, { skip: withoutMemcached }, async t => {
    const server = await memcached(t)
    // Inside the package, so that its own name leads to it.
    const folder = mkdtempSync(join(root, 'dist', 'examples-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const examples = examplesOf(page)
    t.ok(examples.length > 0)
    for (const [index, { name, code, prints }] of examples.entries()) {
      const file = join(folder, `${index}.mjs`)
      writeFileSync(file, code.replaceAll('127.0.0.1:11211', `${HOST}:${server.port}`))
      const { stdout } = await run(process.execPath, [file]).catch(error => ({
        stdout: `${error.stdout}${error.stderr}`,
      }))
      t.same(stdout.replaceAll(`${HOST}:${server.port}`, '127.0.0.1:11211').trimEnd().split('\n'), prints, name)
    }
  })
}

t.test('a page for each class, a word for each method', async t => {
  const pageOf: Record<string, string> = {
    Ring: 'RING.md',
    HashRing: 'HASHRING.md',
    Client: 'CLIENT.md',
    Namespace: 'NAMESPACE.md',
    ClientError: 'ERRORS.md',
    PartialError: 'ERRORS.md',
    RingError: 'ERRORS.md',
  }
  const exported = Object.values({ ...client, ...ketama, HashRing })
  const classes = exported.filter(
    (one): one is (new () => object) & typeof one => typeof one === 'function' && /^class\b/.test(String(one)),
  )
  t.same(classes.map(({ name }) => name).toSorted(), Object.keys(pageOf).toSorted())
  for (const { name, prototype } of classes) {
    const text = readFileSync(join(root, 'docs', pageOf[name]!), 'utf8')
    t.match(text, new RegExp(`^#+ ${name}$`, 'm'))
    const words = new Set([...text.matchAll(/`[^`\n]+`/g)].flatMap(([code]) => code.match(/\w+/g) ?? []))
    const missing = Object.getOwnPropertyNames(prototype).filter(
      member => member !== 'constructor' && !words.has(member),
    )
    t.same(missing, [], `${pageOf[name]} about ${name}`)
  }
})
