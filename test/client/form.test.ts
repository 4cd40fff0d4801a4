/** The client stands alone: its room imports itself, lib/ketama, lib/protocol and Node, nothing of the server. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

const room = new URL('../../lib/client/', import.meta.url)

t.test('lib/client imports only downwards', async t => {
  const modules = readdirSync(room, { recursive: true })
    .map(String)
    .filter(file => file.endsWith('.js'))
  t.ok(modules.length > 20)
  for (const file of modules) {
    const source = readFileSync(new URL(file, room), 'utf8')
    const imports = [...source.matchAll(/^(?:import|export) .* from '([^']+)'/gm)].map(([, path]) => path!)
    const own = file.includes('/') ? /^\.\.?\/[a-z][\w-]*\.js$/ : /^\.\/([a-z]+\/)?[a-z][\w-]*\.js$/
    const rooms = /^(\.\.\/)+(ketama|protocol)\/index\.js$/
    t.ok(imports.length > 0 || !source.includes('import '), file)
    const strangers = imports.filter(path => !own.test(path) && !rooms.test(path) && !path.startsWith('node:'))
    t.same(strangers, [], file)
  }
})
