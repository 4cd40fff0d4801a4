/** What a report says of the machine it was made on. */
import { cpus } from 'node:os'

export interface Machine {
  cpu: string
  cpus: number
  node: string
  platform: string
}

export function machine(): Machine {
  const all = cpus()
  return { cpu: all[0]?.model ?? 'unknown', cpus: all.length, node: process.version, platform: process.platform }
}
