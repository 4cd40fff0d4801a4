/** Keeps a process on one processor core, by taskset of util-linux: two that are measured against each other must not share one. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { Sentence } from '../../lib/cli/output.js'

/** The same command, on that core. taskset becomes the command: the process id is the command's own. */
export function pinned(core: number | null, command: readonly string[]): string[] {
  return core === null ? [...command] : ['taskset', '-c', String(core), ...command]
}

/** Why it could not work, before anything is started. */
export function checkPinning(cores: Record<string, number>): void {
  if (spawnSync('taskset', ['-V'], { stdio: 'ignore' }).error) {
    throw new Sentence('taskset is missing, it keeps servers and load on cores of their own: install util-linux')
  }
  for (const [flag, core] of Object.entries(cores)) {
    const { status } = spawnSync('taskset', ['-c', String(core), 'true'], { stdio: 'ignore' })
    if (status !== 0) {
      throw new Sentence(`${flag} ${core}: this process may not use that core, ${availableParallelism()} are available`)
    }
  }
}
