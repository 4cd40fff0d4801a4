/** murmur3_32, seed 0, over the characters of a text as pymemcache reads them: one byte a code point, its low 8 bits. */
export function murmur3Text(text: string): number {
  let hash = 0
  let word = 0
  let length = 0
  for (const character of text) {
    word |= (character.codePointAt(0)! & 255) << (8 * (length & 3))
    length++
    if (length & 3) continue
    hash ^= scramble(word)
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
    word = 0
  }
  if (length & 3) hash ^= scramble(word)
  hash ^= length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function scramble(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}
