/** From a name to the addresses that a server can listen on. The loops themselves know addresses only: a look-up waits. */
import { lookup } from 'node:dns/promises'
import { isLiteral, literalOf, wordsOf } from './words.js'

/** Throws an Error with one plain sentence when the name means nothing. */
export async function addressesOf(host: string): Promise<string[]> {
  const literal = literalOf(host)
  if (isLiteral(literal)) return [literal]
  try {
    const found = await lookup(host, { all: true })
    return [...new Set(found.map(({ address }) => address))]
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    throw new Error(`cannot listen on "${host}": ${wordsOf(code)}`)
  }
}
