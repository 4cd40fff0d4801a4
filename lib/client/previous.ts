/**
 * A previous server list, for fleets of plain memcached that change shape. What is not at its new owner is looked for at its
 * previous one and brought over, with `add` and what is left of its time, so that a newer value always wins.
 *
 *   verb                              new owner            previous owner
 *   get gets gat getMany touch        first                on a miss: get, then add at the new
 *   add replace append prepend cas    after the item       get first, then add at the new, if the new has none
 *   incr decr
 *   set                               set                  then delete
 *   delete                            delete               delete
 *
 * Where both lists have one owner for a key there is nothing to do. What remains possible: a reader that holds a value in
 * hand while another deletes the key at both may bring it back; plain memcached has no way to tell.
 */
import type { CallOptions } from './calls.js'
import type { WireKey } from './key.js'
import type { RawItem } from './requests/read.js'
import type { Store } from './store.js'

export class Previous<Value> {
  readonly #now: Store<Value>
  readonly #before: Store<Value>
  readonly #ttlIfUnknown: number

  constructor(now: Store<Value>, before: Store<Value>, ttlIfUnknown: number) {
    this.#now = now
    this.#before = before
    this.#ttlIfUnknown = ttlIfUnknown
  }

  /** Same owner then and now. */
  isSettled(key: WireKey): boolean {
    return this.#now.pool.ownerOf(key.whole).name === this.#before.pool.ownerOf(key.whole).name
  }

  /** Brings the item over if the previous owner has it and the new one has not; was something brought or found? */
  async bring(key: WireKey, options?: CallOptions): Promise<boolean> {
    if (this.isSettled(key)) return false
    const item = await this.#before.item(key, {}, options)
    if (!item || item.ttl === 0) return false
    await this.#now.store('add', key, item, this.#exptime(item), options)
    // Added, or somebody was faster: either way there is something at the new owner.
    return true
  }

  /** As `bring`, for writes that need to see the item: only if it is not at its new owner. */
  async bringFirst(key: WireKey, options?: CallOptions): Promise<void> {
    if (this.isSettled(key)) return
    if ((await this.#now.item(key, {}, options)) === undefined) await this.bring(key, options)
  }

  async delete(key: WireKey, options?: CallOptions): Promise<boolean> {
    return this.isSettled(key) ? false : this.#before.delete(key, options)
  }

  #exptime({ ttl }: RawItem): number {
    if (ttl === undefined) return this.#ttlIfUnknown
    if (ttl === null) return 0
    // What is longer than 30 days goes as a moment.
    return ttl <= 2_592_000 ? ttl : Math.floor(Date.now() / 1000) + ttl
  }
}
