/**
 * The topology document on disk, with the versions before it beside it, the way people keep server.conf.1:
 *
 *   topology.json      in force
 *   topology.json.1    the one before
 *   ...
 *   topology.json.10   the oldest kept
 *
 * It may not know what the document says. A document that cannot be used is never replaced by an empty one: the sentence
 * says which file to look at and which one came before it.
 */
import { existsSync, linkSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DamagedFile, makeDirectory, readIfThere, writeAtomically } from './atomic-file.js'
import type { DocumentFile } from './embedded-store.js'

export const PREVIOUS_KEPT = 10

export class DiskFile implements DocumentFile {
  readonly path: string

  constructor(directory: string) {
    makeDirectory(directory)
    this.path = join(directory, 'topology.json')
  }

  load(): string | null {
    const text = readIfThere(this.path)
    if (text === null && existsSync(this.#previous(1))) throw new DamagedFile(this.damaged('it is missing'))
    return text
  }

  save(text: string): void {
    if (existsSync(this.path)) this.#rotate()
    writeAtomically(this.path, text)
  }

  damaged(problem: string): string {
    const previous = this.#previous(1)
    const hint = existsSync(previous)
      ? `the previous one is ${previous}: copy it to ${this.path} to go on from there`
      : 'there is no previous one beside it'
    return `the topology file ${this.path} is damaged (${problem}); ${hint}`
  }

  /** The file in force keeps its name all the while: its text gets `.1` as a second name, and the rename over it comes later. */
  #rotate(): void {
    rmSync(this.#previous(PREVIOUS_KEPT), { force: true })
    for (let age = PREVIOUS_KEPT - 1; age >= 1; age--) {
      if (existsSync(this.#previous(age))) renameSync(this.#previous(age), this.#previous(age + 1))
    }
    linkSync(this.path, this.#previous(1))
  }

  #previous(age: number): string {
    return `${this.path}.${age}`
  }
}
