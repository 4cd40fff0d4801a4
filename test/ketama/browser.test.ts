/**
 * The ring in a real browser: `continuum-cache/ketama`, bundled as an application would bundle it, loaded by a page in Chromium;
 * every dialect answers there as it does in Node, for every recorded key and recorded lists of each kind.
 */
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import * as ketama from '../../lib/ketama/index.js'
import { keys, sets } from './vectors.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
/** Debian's. */
const CHROMIUM = '/usr/bin/chromium'
const skip = existsSync(CHROMIUM) ? false : 'chromium is not installed'

/** Weights in megabytes are left out: where weights are factors they make rings of a million points, which shows nothing more. */
const LISTS = [
  'five-mixed-ports',
  'weights-1-2-3',
  'ipv6',
  'hostnames',
  'equal-7',
  'equal-25',
  'equal-61',
  'collision-ab',
]

const PAGE = `<!doctype html><meta charset="utf-8"><title>ring</title><script type="module" src="/ring.js"></script>`
const SOURCE = `import * as ketama from 'continuum-cache/ketama'\nglobalThis.ketama = ketama\n`

interface Question {
  servers: ketama.RingServer[]
  keys: string[]
}

/** Runs on both sides, so it may use nothing but its arguments and the language. In the page, `here` is what the bundle
 * exports. Answers are texts, as those cross over to Node in no time. */
function answers(questions: Question[], here?: typeof ketama): Record<string, string> {
  const { Ring, RingError, DIALECTS, MD5_DIALECTS } =
    here ?? (globalThis as unknown as { ketama: typeof ketama }).ketama
  const encoder = new TextEncoder()
  const said: Record<string, string> = { MD5_DIALECTS: MD5_DIALECTS.join(' ') }
  for (const dialect of DIALECTS) {
    const all = questions.map(({ servers, keys }) => {
      try {
        const ring = new Ring(servers, { dialect })
        const tagged = new Ring(servers, { dialect, relationTag: '{}' })
        return {
          owners: keys.map(key => ring.indexOf(key)),
          ofBytes: keys.slice(0, 100).map(key => ring.indexOf(encoder.encode(key))),
          positions: keys.slice(0, 100).map(key => ring.hash(key)),
          successors: keys.slice(0, 20).map(key => ring.successors(key, 3)),
          together: [1, 2, 3].map(i => tagged.indexOf(`cart:{${keys[i]}}:${i}`)),
          points: dialect === 'pymemcache-rendezvous' ? [] : [...ring.points().values.slice(0, 500)],
          spread: dialect === 'pymemcache-rendezvous' ? [] : ring.spread(),
        }
      } catch (error) {
        if (!(error instanceof RingError)) throw error
        return [error.code, error.message]
      }
    })
    said[dialect] = JSON.stringify(all)
  }
  return said
}

async function open(t: Test, script: string): Promise<{ page: Page; errors: string[] }> {
  const server = createServer((request, response) => {
    const isScript = request.url === '/ring.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script : request.url === '/' ? PAGE : '')
  })
  t.teardown(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const browser = await chromium.launch({ executablePath: CHROMIUM })
  t.teardown(() => browser.close())
  const page = await browser.newPage()
  const errors: string[] = []
  page.on('pageerror', error => errors.push(error.message))
  await page.goto(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`)
  return { page, errors }
}

t.test('a page in Chromium', { skip }, async t => {
  const { outputFiles } = await build({
    ...{ stdin: { contents: SOURCE, resolveDir: root }, bundle: true, write: false },
    ...{ platform: 'browser', format: 'esm', minify: true, logLevel: 'silent' },
  })
  const { page, errors } = await open(t, outputFiles[0]!.text)
  const questions = LISTS.map(name => ({ servers: sets[name]!.servers, keys }))
  const inPage = await page.evaluate(answers, questions)
  t.same(errors, [])
  const inNode = answers(questions, ketama)
  t.same(Object.keys(inPage).toSorted(), [...ketama.DIALECTS, 'MD5_DIALECTS'].toSorted())
  for (const name of Object.keys(inNode)) t.ok(inPage[name] === inNode[name], name)
  const version = await page.evaluate(
    () => (globalThis as unknown as { navigator: { userAgent: string } }).navigator.userAgent,
  )
  t.match(version, /Chrome\//)
})
