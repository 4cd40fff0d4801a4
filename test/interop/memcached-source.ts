/**
 * memcached's own test files, as Debian ships them in its source package: fetched by a private configuration of apt into
 * a folder of the test's, from where this machine gets its packages; nothing of the machine's own apt is changed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const SOURCES = ['/etc/apt/sources.list', '/etc/apt/sources.list.d']
const FETCH_LIMIT_MS = 120_000

export type Source = { ok: true; folder: string } | { ok: false; why: string }

/** Unpacks the package below `folder`; or says in one sentence why it cannot. */
export function fetchSource(folder: string): Source {
  const release = codename()
  if (release === null) return { ok: false, why: 'this is not Debian' }
  const stanzas = sourceStanzas(release)
  if (stanzas.length === 0) return { ok: false, why: `apt has no source of Debian's ${release} main` }
  const parts = join(folder, 'parts')
  for (const path of [parts, join(folder, 'lists/partial'), join(folder, 'cache/archives/partial')]) {
    mkdirSync(path, { recursive: true })
  }
  writeFileSync(join(parts, 'memcached.sources'), stanzas.join('\n\n'))
  const options = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': parts,
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
  }
  const settings = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const aptGet = (...args: string[]) =>
    execFileSync('apt-get', [...settings, '-qq', ...args], { cwd: folder, stdio: 'pipe', timeout: FETCH_LIMIT_MS })
  try {
    aptGet('update')
    aptGet('--only-source', 'source', 'memcached')
  } catch (error) {
    return {
      ok: false,
      why: `apt-get: ${error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : ''}`,
    }
  }
  const unpacked = readdirSync(folder).find(name => existsSync(join(folder, name, 't/lib/MemcachedTest.pm')))
  return unpacked ? { ok: true, folder: join(folder, unpacked) } : { ok: false, why: 'the package has no tests' }
}

function codename(): string | null {
  if (!existsSync('/etc/debian_version')) return null
  return /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? null
}

/** The machine's sources of the release itself and of its main part, for source packages. */
function sourceStanzas(release: string): string[] {
  const files = SOURCES.flatMap(path =>
    !existsSync(path) ? [] : path.endsWith('.d') ? readdirSync(path).map(name => join(path, name)) : [path],
  )
  return files.flatMap(file => {
    const text = readFileSync(file, 'utf8')
    if (file.endsWith('.sources')) return text.split(/\n\s*\n/).flatMap(stanza => fromStanza(stanza, release) ?? [])
    return file.endsWith('.list') ? text.split('\n').flatMap(line => fromLine(line, release) ?? []) : []
  })
}

function fromStanza(stanza: string, release: string): string | null {
  const field = (name: string) => new RegExp(`^${name}:[ \t]*(.*)$`, 'mi').exec(stanza)?.[1] ?? ''
  const fits = field('Suites').split(/\s+/).includes(release) && field('Components').split(/\s+/).includes('main')
  return fits ? stanza.replace(/^Types:.*$/im, 'Types: deb-src').trim() : null
}

/** `deb [options] uri suite components` */
function fromLine(line: string, release: string): string | null {
  const match = /^deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.trim())
  if (!match || match[3] !== release || !match[4]!.split(/\s+/).includes('main')) return null
  const signed = /signed-by=(\S+)/.exec(match[1] ?? '')?.[1]
  const fields = ['Types: deb-src', `URIs: ${match[2]}`, `Suites: ${release}`, 'Components: main']
  return [...fields, ...(signed ? [`Signed-By: ${signed}`] : [])].join('\n')
}
