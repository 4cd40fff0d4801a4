/** The ring stands alone: no file of lib/ketama imports anything but its neighbours, so a browser can load it. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

const room = new URL('../../lib/ketama/', import.meta.url)

t.test('lib/ketama imports only from itself', async t => {
  const files = readdirSync(room, { recursive: true }).map(String)
  const modules = files.filter(file => file.endsWith('.js'))
  t.ok(modules.length > 15)
  for (const file of modules) {
    const source = readFileSync(new URL(file, room), 'utf8')
    const imports = [...source.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, path]) => path!)
    const up = file.includes('/') ? /^\.\.?\/[a-z]/ : /^\.\/[a-z]/
    t.ok(
      imports.every(path => up.test(path)),
      `${file}: ${imports.join(' ')}`,
    )
    t.notMatch(source, /\b(Buffer|process|require)\b\s*[.(]/, `${file} uses nothing of Node`)
  }
})
