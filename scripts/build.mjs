// Builds dist/: the TypeScript of lib/, bin/, bench/ and test/ by tsc, its library entries a second time as CommonJS (dist/cjs),
// the engine of lib/engine/assembly by asc.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)

/** Path of a package's command, found through its package.json, so that no shell and no PATH is needed. */
function command(packageName, name) {
  const manifest = require.resolve(`${packageName}/package.json`)
  const { bin } = require(manifest)
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[name])
}
function run(packageName, name, args) {
  execFileSync(process.execPath, [command(packageName, name), ...args], { cwd: root, stdio: 'inherit' })
}

const only = process.argv[2] // 'ts' or 'wasm': one half; nothing: both
if (only !== 'ts' && existsSync(join(root, 'lib/engine/assembly/index.ts'))) {
  mkdirSync(join(root, 'dist/lib/engine'), { recursive: true })
  run('assemblyscript', 'asc', [
    'lib/engine/assembly/index.ts',
    ...['--outFile', 'dist/lib/engine/engine.wasm', '-O3', '--runtime', 'stub', '--noAssert'],
    ...[
      '--enable',
      'threads',
      '--enable',
      'bulk-memory',
      '--enable',
      'simd',
      '--sharedMemory',
      '--importMemory',
      '--maximumMemory',
      '65536',
    ],
  ])
}
if (only !== 'wasm') {
  run('typescript', 'tsc', ['-p', 'tsconfig.json'])
  if (existsSync(join(root, 'dist/bin/continuum.js'))) chmodSync(join(root, 'dist/bin/continuum.js'), 0o755)
  run('typescript', 'tsc', ['-p', 'tsconfig.cjs.json'])
  writeFileSync(join(root, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n')
  // npm's hashring is what require() gives, and not a module with a default: so is ours.
  const hashring = 'lib/hashring/hashring.js'
  writeFileSync(join(root, 'dist/cjs/hashring.cjs'), `module.exports = require('./${hashring}').default\n`)
  writeFileSync(
    join(root, 'dist/cjs/hashring.d.cts'),
    `import HashRing = require('./${hashring}')\nexport = HashRing.default\n`,
  )
}
