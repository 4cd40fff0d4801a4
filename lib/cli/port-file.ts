/**
 * The file that memcached's own tests read the ports from, named by the environment (MEMCACHED_PORT_FILENAME): a line for
 * each listener, there all at once.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { reasonOf } from '../tier/atomic-file.js'
import type { Address } from '../transport/loop.js'
import { Sentence } from './output.js'

export function writePortFile(path: string, tcp: readonly Address[], udp: readonly Address[]): void {
  const line = (what: string) => (place: Address) => `${what} INET${isIPv6(place.host) ? '6' : ''}: ${place.port}\n`
  const beside = `${path}.tmp`
  try {
    writeFileSync(beside, [...tcp.map(line('TCP')), ...udp.map(line('UDP'))].join(''))
    renameSync(beside, path)
  } catch (error) {
    throw new Sentence(`the file of MEMCACHED_PORT_FILENAME, ${path}, cannot be written (${reasonOf(error)})`)
  }
}
