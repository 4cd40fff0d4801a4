/** Processor time of a process as Linux counts it: user and system, all its threads, and children that ended. */
import { readFileSync } from 'node:fs'

/** What the kernel shows to programs, on every architecture that Node has. */
const TICKS_PER_SECOND = 100
/** Fields after the name, which stands in brackets and may hold anything: utime is the 14th of all, the 12th from there. */
const UTIME = 11

/** Seconds; 0 when there is no such process, or no /proc. */
export function cpuSeconds(pid: number): number {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return 0
  }
  return cpuSecondsOf(stat)
}

/** Of the text of /proc/<pid>/stat: utime, stime, cutime and cstime. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(UTIME, UTIME + 4).reduce((sum, field) => sum + Number(field), 0)
  return ticks / TICKS_PER_SECOND
}
