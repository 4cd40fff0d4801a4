/**
 * The package as it is published, unpacked into an empty project: its library entries load by import and by require, alone (no
 * dependency is there, and no server code is touched), and a strict TypeScript project of either kind compiles against them.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { temporaryFolder } from '../interop/processes.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const require = createRequire(import.meta.url)

const project = temporaryFolder()
t.teardown(() => project.remove())
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: project.path, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const write = (name: string, text: string) => writeFileSync(join(project.path, name), text)

/** What npm install does with the tarball, without the dependencies of the command line. */
function install(): void {
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project.path], { cwd: root })
  const tarball = readdirSync(project.path).find(name => name.endsWith('.tgz'))!
  const home = join(project.path, 'node_modules/continuum-cache')
  mkdirSync(home, { recursive: true })
  run('tar', '-xzf', tarball, '--strip-components=1', '-C', home)
  mkdirSync(join(project.path, 'node_modules/@types'))
  for (const name of ['@types/node', 'undici-types']) {
    symlinkSync(join(root, 'node_modules', name), join(project.path, 'node_modules', name))
  }
  write('package.json', '{ "name": "consumer", "private": true }')
}

const USE = `
const ring = new Ring([{ host: 'a', port: 1 }, { host: 'b', port: 1 }])
const old = new HashRing(['a:1', 'b:1'])
const client = new Client({ servers: '127.0.0.1:1', backoff: { maxMs: 10 } })
client.get('key').catch(error => {
  client.destroy()
  console.log([ring.get('x').host, old.get('x'), error.code, error instanceof ClientError].join(' '))
})
`
const SAID = 'a a:1 NODE_EJECTED true\n'

t.test('the package', async t => {
  install()

  await t.test('its dependencies are what it imports, no more and no less', async t => {
    const home = join(project.path, 'node_modules/continuum-cache')
    const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Record<string, object>
    const named = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
    const modules = readdirSync(join(home, 'dist'), { recursive: true }).map(String)
    const imported = modules
      .filter(name => name.endsWith('.js'))
      .map(name => readFileSync(join(home, 'dist', name), 'utf8'))
      .flatMap(text => [
        ...text.matchAll(/^(?:import|export)\b.* from '([^'.][^']*)'/gm),
        ...text.matchAll(/createRequire\(import\.meta\.url\)\('([^']*)'\)/g),
      ])
      .map(([, name]) => name!)
      .filter(name => !name.startsWith('node:'))
    t.same([...new Set(imported)].toSorted(), named.toSorted())
  })

  await t.test('import', async t => {
    write(
      'use.mjs',
      `import { Client, ClientError } from 'continuum-cache/client'
import { Ring } from 'continuum-cache/ketama'
import HashRing from 'continuum-cache/hashring'
${USE}`,
    )
    t.equal(run(process.execPath, 'use.mjs'), SAID)
  })

  await t.test('require, and nothing of the server with it', async t => {
    write(
      'use.cjs',
      `const { Client, ClientError } = require('continuum-cache/client')
const { Ring } = require('continuum-cache/ketama')
const HashRing = require('continuum-cache/hashring')
${USE}
const rooms = new Set(Object.keys(require.cache).map(path => /lib\\/(\\w+)\\//.exec(path)?.[1]).filter(Boolean))
console.log([...rooms].sort().join(' '))`,
    )
    t.equal(run(process.execPath, 'use.cjs'), `client hashring ketama protocol\n${SAID}`)
  })

  await t.test('TypeScript, both kinds', async t => {
    const body = `
const client: Client<string> = new Client<string>({ servers: ['a:1'], serializer: { encode: text => ({ bytes: Buffer.from(text), flags: 0 }), decode: bytes => bytes.toString() } })
const got: Promise<string | undefined> = client.get('k')
const any = new Client()
const user: Promise<{ name: string } | undefined> = any.get<{ name: string }>('u')
const count: Promise<number | undefined> = any.incr('n')
const large: Promise<bigint | undefined> = any.incr('n', 1n)
const many: Promise<Map<string, string>> = client.getMany(['a'])
any.on('eject', (node: string, error: ClientError) => console.log(node, error.code === 'TIMEOUT'))
// @ts-expect-error: this client stores strings
client.set('k', 1)
// @ts-expect-error: no such dialect
new Ring([{ host: 'a', port: 1 }], { dialect: 'nobody' })
const ring = new HashRing(['a:1'], 'md5', { 'max cache size': 10 })
const server: string | undefined = ring.get('x')
export { got, user, count, large, many, server }
`
    write(
      'use.mts',
      `import { Client, type ClientError } from 'continuum-cache/client'
import { Ring } from 'continuum-cache/ketama'
import HashRing from 'continuum-cache/hashring'
${body}`,
    )
    write(
      'use.cts',
      `import { Client, type ClientError } from 'continuum-cache/client'
import { Ring } from 'continuum-cache/ketama'
import HashRing = require('continuum-cache/hashring')
${body}`,
    )
    const options = {
      strict: true,
      noEmit: true,
      module: 'NodeNext',
      target: 'ES2022',
      lib: ['ES2023'],
      types: ['node'],
      exactOptionalPropertyTypes: true,
    }
    write('tsconfig.json', JSON.stringify({ compilerOptions: options, files: ['use.mts', 'use.cts'] }))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    let said = ''
    try {
      said = run(process.execPath, tsc, '-p', '.')
    } catch (error) {
      said = String((error as { stdout?: string }).stdout)
    }
    t.equal(said, '')
  })

  await t.test('continuum-cache/ketama runs where there is no Node', async t => {
    const { buildSync } = require('esbuild') as typeof import('esbuild')
    write(
      'browser.js',
      `import { Ring, DIALECTS } from 'continuum-cache/ketama'
const servers = [1, 2, 3].map(i => ({ host: '10.0.0.' + i, port: 11211 }))
globalThis.owners = DIALECTS.map(dialect => new Ring(servers, { dialect }).get('ключ').host).join(' ')`,
    )
    const { outputFiles } = buildSync({
      ...{ absWorkingDir: project.path, entryPoints: ['browser.js'], bundle: true, write: false },
      ...{ platform: 'browser', format: 'iife', minify: true, logLevel: 'silent' },
    })
    const text = outputFiles[0]!.text
    t.ok(text.length < 64 * 1024, `${text.length} bytes`)
    const { createContext, runInContext } = await import('node:vm')
    // A context has the language and what is put into it: a page has TextEncoder too.
    const page = createContext({ TextEncoder, TextDecoder }) as { owners?: string }
    runInContext(text, page)
    const { DIALECTS, Ring } = await import('../../lib/ketama/index.js')
    const servers = [1, 2, 3].map(i => ({ host: `10.0.0.${i}`, port: 11211 }))
    t.equal(page.owners, DIALECTS.map(dialect => new Ring(servers, { dialect }).get('ключ').host).join(' '))
  })
})
