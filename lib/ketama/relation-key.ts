/**
 * Relation keys: only the tag of a key is hashed, so that `cart:{42}` and `user:{42}` live on one server. Exactly
 * twemproxy's hash_tag: the first opening character, the first closing one after it, and at least one byte between;
 * a key without such a tag is hashed whole.
 */
import { RingError } from './errors.js'

export type Tagged = (key: string | Uint8Array) => string | Uint8Array

/** `tag`: two ASCII characters, '{}' for the usual form. Throws BAD_TAG. */
export function tagReader(tag: string): Tagged {
  if (!/^[\x21-\x7e]{2}$/.test(tag)) {
    throw new RingError('BAD_TAG', `relation tag "${tag}": it must be two printable characters, like "{}"`)
  }
  const [open, close] = [tag.charCodeAt(0), tag.charCodeAt(1)]
  const [openText, closeText] = [tag[0]!, tag[1]!]
  return key => {
    if (typeof key === 'string') {
      const from = key.indexOf(openText)
      const to = from < 0 ? -1 : key.indexOf(closeText, from + 1)
      return to - from > 1 ? key.slice(from + 1, to) : key
    }
    const from = key.indexOf(open)
    const to = from < 0 ? -1 : key.indexOf(close, from + 1)
    return to - from > 1 ? key.subarray(from + 1, to) : key
  }
}
