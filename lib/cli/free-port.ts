/** Is a port free? It is listened on for a moment. */
import type { Address, Loop } from '../transport/loop.js'
import { Sentence } from './output.js'

/** The port that was free a moment ago (0: any). Rejects with the sentence that says who is in the way. */
export function probe(loop: Loop, place: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    loop.listen(
      place,
      connection => {
        connection.destroy()
        return { onReadable: () => {}, onWritable: () => {}, onClose: () => {} }
      },
      listener => {
        listener.close()
        resolve(listener.port)
      },
      sentence => reject(new Sentence(sentence)),
    )
  })
}

/** Null: it is not free. */
export function freePort(loop: Loop, place: Address): Promise<number | null> {
  return probe(loop, place).catch(() => null)
}
