/**
 * First in, first out, in a ring of cells that grows by doubling: no shift of an array for each reply.
 *
 *   cells  . . c d e f . .      head: c      length: 4
 */
export class RequestQueue<Item extends object> {
  #cells: (Item | undefined)[] = new Array<Item | undefined>(16)
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: Item): void {
    if (this.#length === this.#cells.length) this.#grow()
    this.#cells[(this.#head + this.#length) & (this.#cells.length - 1)] = item
    this.#length++
  }

  peek(): Item | undefined {
    return this.#cells[this.#head]
  }

  shift(): Item | undefined {
    const item = this.#cells[this.#head]
    if (item === undefined) return undefined
    this.#cells[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#cells.length - 1)
    this.#length--
    return item
  }

  /** From the first to the last; the queue must not change meanwhile. */
  forEach(see: (item: Item) => void): void {
    for (let i = 0; i < this.#length; i++) see(this.#cells[(this.#head + i) & (this.#cells.length - 1)]!)
  }

  /** Everything, and the queue is empty. */
  drain(): Item[] {
    const all: Item[] = []
    for (let item = this.shift(); item !== undefined; item = this.shift()) all.push(item)
    if (this.#cells.length > 1024) this.#cells = new Array<Item | undefined>(16)
    this.#head = 0
    return all
  }

  #grow(): void {
    const old = this.#cells
    const cells = new Array<Item | undefined>(old.length * 2)
    for (let i = 0; i < this.#length; i++) cells[i] = old[(this.#head + i) & (old.length - 1)]
    this.#cells = cells
    this.#head = 0
  }
}
