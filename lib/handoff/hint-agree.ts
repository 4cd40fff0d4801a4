/**
 * What a node that stopped had written to one home's log, but not yet to another that has the key too: nobody was told that
 * it succeeded, yet from now on it may be seen. So before anything is answered, the log that lacks it gets it as well;
 * otherwise the older record would be the newest as soon as the other outage is forgotten.
 */
import { decodeHint, HintKind, keyOfHint } from './hint-format.js'
import type { HintHome } from './hint-home.js'
import { HintState, type IndexEntry, type KeyHash } from './hint-index.js'
import { together } from './hint-writer.js'

interface Missing {
  hash: KeyHash
  entry: IndexEntry
  has: HintHome
  lacks: HintHome
}

export function agree(homes: readonly HintHome[], done: () => void): void {
  if (homes.length < 2) {
    done()
    return
  }
  const flush = homes.reduce((best, home) => (home.flushedVersion > best.flushedVersion ? home : best))
  const behind = homes.filter(home => home.flushedVersion < flush.flushedVersion)
  const flushed = together(behind.length, () => copyAll(missing(homes), done))
  for (const home of behind) home.appendFlush(flush.flush?.generation ?? 0, flush.flushedVersion, flushed)
}

function missing(homes: readonly HintHome[]): Missing[] {
  const found: Missing[] = []
  for (const has of homes) {
    for (const { hash, entry } of has.index.entries()) {
      for (const lacks of homes) {
        const other = lacks === has ? null : lacks.index.get(hash)
        if (!other || other.version > entry.version) continue
        const given = entry.state === HintState.handed && other.state !== HintState.handed
        if (other.version < entry.version || given) found.push({ hash, entry, has, lacks })
      }
    }
  }
  return found
}

function copyAll(all: readonly Missing[], done: () => void, from = 0): void {
  const one = all[from]
  if (!one) {
    done()
    return
  }
  const { hash, entry, has, lacks } = one
  const { segment, offset, length } = entry
  const next = () => copyAll(all, done, from + 1)
  has.context.disk.read(has.segmentOf(segment)!.name, offset, length, (error, bytes) => {
    const hint = error || bytes.length !== length ? null : decodeHint(bytes)
    if (!hint) {
      has.lose(hash, error?.message ?? 'a record of it is damaged')
      lacks.lose(hash, 'a newer record of a key cannot be read')
      next()
    } else if (hint.kind === HintKind.write) lacks.appendWrite(hash, hint.generation, hint.body.slice(), next)
    else lacks.appendHanded(hash, hint.generation, keyOfHint(hint).slice(), hint.to, next)
  })
}
