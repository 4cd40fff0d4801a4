/**
 * -u: who the process becomes once its ports are open. Only root can become somebody else; anybody else stays who they
 * are, as with memcached. Every thread changes: the C library sees to that.
 */
import { chownSync, readFileSync } from 'node:fs'
import { Sentence } from './output.js'

export interface User {
  uid: number
  gid: number
}

/** Null: nobody to become. */
export function userToBecome(name: string | null): User | null {
  if (name === null || process.getuid?.() !== 0) return null
  const user = userNamed(name)
  if (!user) throw new Sentence(`can't find the user ${name} to switch to`)
  return user
}

/** `files` were made before, and are the user's from now on. */
export function become({ uid, gid }: User, files: readonly string[]): void {
  for (const file of files) chownSync(file, uid, gid)
  process.setgroups?.([gid])
  process.setgid?.(gid)
  process.setuid?.(uid)
}

function userNamed(name: string): User | null {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [known, , uid, gid] = line.split(':')
    if (known === name && uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  return null
}
