/** -Z and the ssl_ words of -o: from options to what a listener needs, read from the disk at the start and on SIGHUP. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { reasonOf } from '../tier/atomic-file.js'
import { type TlsSettings, tlsProblem } from '../transport/tls.js'

export interface TlsFlags {
  chainFile: string
  keyFile: string
  caFile: string | null
  verify: TlsSettings['verify']
  ciphers: string | null
  minVersion: TlsSettings['minVersion']
}

/** As OpenSSL wants them. */
const TICKET_KEYS_BYTES = 48

export type TlsFiles = { ok: true; tls: TlsSettings } | { ok: false; sentence: string }

/** Null without -Z; a sentence when the words do not go together. */
export function tlsFlags(isOn: boolean, values: ReadonlyMap<string, string>): TlsFlags | null | string {
  const stray = [...values.keys()].find(name => name.startsWith('ssl_'))
  if (!isOn) return stray === undefined ? null : `-o ${stray} needs -Z`
  const [chainFile, keyFile] = [values.get('ssl_chain_cert'), values.get('ssl_key')]
  if (chainFile === undefined || keyFile === undefined) return '-Z needs -o ssl_chain_cert=file and -o ssl_key=file'
  const mode = values.get('ssl_verify_mode') ?? '0'
  const verify = ([0, 1, 2, 3] as const).find(number => String(number) === mode)
  if (verify === undefined) return `-o ssl_verify_mode=${mode}: must be 0, 1, 2 or 3`
  const caFile = values.get('ssl_ca_cert') ?? null
  if (verify > 0 && caFile === null) return `-o ssl_verify_mode=${mode} needs -o ssl_ca_cert=file`
  const least = values.get('ssl_min_version') ?? 'tlsv1.2'
  // memcached numbers them: 2 and 3.
  const minVersion = (['TLSv1.2', 'TLSv1.3'] as const).find(
    version => version.toLowerCase() === least.toLowerCase() || version.endsWith(`.${least}`),
  )
  if (!minVersion) return `-o ssl_min_version=${least}: must be 2 (tlsv1.2) or 3 (tlsv1.3)`
  return { chainFile, keyFile, caFile, verify, ciphers: values.get('ssl_ciphers') ?? null, minVersion }
}

export function readTlsFiles(flags: TlsFlags): TlsFiles {
  const { chainFile, keyFile, caFile, verify, ciphers, minVersion } = flags
  const texts: string[] = []
  for (const file of [chainFile, keyFile, ...(caFile === null ? [] : [caFile])]) {
    try {
      texts.push(readFileSync(file, 'utf8'))
    } catch (error) {
      return { ok: false, sentence: `the TLS file ${file} cannot be read (${reasonOf(error)})` }
    }
  }
  const [chain, key, ca] = texts as [string, string, string | undefined]
  const ticketKeys = new Uint8Array(randomBytes(TICKET_KEYS_BYTES))
  const tls: TlsSettings = { chain, key, ca: ca ?? null, verify, ciphers, minVersion, ticketKeys }
  const problem = tlsProblem(tls)
  if (problem === null) return { ok: true, tls }
  return { ok: false, sentence: `the certificate ${chainFile} with the key ${keyFile} cannot be used (${problem})` }
}
