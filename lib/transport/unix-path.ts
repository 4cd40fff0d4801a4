/**
 * The file of a unix socket: it outlives a server that was killed, so before listening one that nobody answers on is
 * removed, and one that somebody answers on is left alone; at the end only the own one goes.
 */
import { existsSync, lstatSync, unlinkSync } from 'node:fs'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { listenSentence } from './words.js'

/** Null: the path is free now. Otherwise a sentence. */
export async function freeUnixPath(path: string): Promise<string | null> {
  const there = lstatSync(path, { throwIfNoEntry: false })
  // Node calls a missing directory "permission denied".
  if (!there) return existsSync(dirname(path)) ? null : listenSentence({ host: '', port: 0, path }, 'ENOENT')
  if (!there.isSocket()) return `cannot listen on ${path}: there is a file that is no socket`
  if (await isAnswered(path)) return `the unix socket ${path} is taken`
  unlinkSync(path)
  return null
}

/** What tells this file from one that another server put in its place. */
export function unixPathIdentity(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? -1
}

/** False: it could not be removed. */
export function removeUnixPath(path: string, identity: number): boolean {
  if (unixPathIdentity(path) !== identity) return true
  try {
    unlinkSync(path)
    return true
  } catch {
    return false
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Only "nobody listens" says that it is stale: a full queue or a missing permission does not.
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
}
