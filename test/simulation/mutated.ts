/**
 * A copy of the compiled program with one rule broken. The text to replace must occur exactly once, so that a mutation
 * cannot silently stop mutating.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export interface Edit {
  /** Below dist/. */
  file: string
  find: string
  replace: string
}

export interface Mutation {
  rule: string
  edits: Edit[]
}

const dist = fileURLToPath(new URL('../../', import.meta.url))

/** `parts`: the folders (or files) below dist/ that `module` needs. */
export async function mutated<T>(
  { edits }: Mutation,
  parts: readonly string[],
  module: string,
): Promise<{ exports: T; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'continuum-mutation-'))
  for (const part of parts) {
    mkdirSync(dirname(join(folder, part)), { recursive: true })
    cpSync(join(dist, part), join(folder, part), { recursive: true })
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  symlinkSync(join(dist, '../node_modules'), join(folder, 'node_modules'))
  for (const { file, find, replace } of edits) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    if (text.split(find).length !== 2) throw new Error(`${file} has not exactly one "${find}"`)
    writeFileSync(
      path,
      text.replace(find, () => replace),
    )
  }
  const exports = (await import(pathToFileURL(join(folder, module)).href)) as T
  return { exports, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
