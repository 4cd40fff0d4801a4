/**
 * Answers kept by key, at most `maxSize`. Two maps: what is asked for moves to the young one; when that is half of
 * `maxSize`, it becomes the old one and the old one goes. So what was asked for lately stays, and a hit costs one look.
 */
export class Cache<Value> {
  readonly maxSize: number
  #young = new Map<unknown, Value>()
  #old = new Map<unknown, Value>()

  constructor(maxSize: number) {
    this.maxSize = maxSize
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: unknown): Value | undefined {
    const value = this.#young.get(key)
    if (value !== undefined) return value
    const older = this.#old.get(key)
    if (older === undefined) return undefined
    this.#old.delete(key)
    this.set(key, older)
    return older
  }

  set(key: unknown, value: Value): void {
    if (!(this.maxSize >= 1)) return
    this.#old.delete(key)
    this.#young.set(key, value)
    if (this.#young.size <= this.maxSize / 2) return
    this.#old = this.#young
    this.#young = new Map()
  }

  del(key: unknown): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  forEach(visit: (value: Value, key: unknown) => void): void {
    for (const [key, value] of [...this.#young, ...this.#old]) visit(value, key)
  }

  reset(): void {
    this.#young.clear()
    this.#old.clear()
  }
}
