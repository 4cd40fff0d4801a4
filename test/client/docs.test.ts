/** The examples of the documents are run as they stand, on a real memcached, and print what they say that they print. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
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

for (const page of ['CLIENT.md', 'MIGRATING.md']) {
  t.test(page, { skip: withoutMemcached }, async t => {
    const server = await memcached(t)
    // Inside the package, so that its own name leads to it.
    const folder = mkdtempSync(join(root, 'dist', 'examples-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const examples = examplesOf(page)
    t.ok(examples.length >= 3)
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
