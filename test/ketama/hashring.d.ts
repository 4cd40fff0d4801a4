declare module 'hashring' {
  /** The npm package, as far as the tests use it. */
  export default class HashRing {
    constructor(servers: string[] | Record<string, number>, algorithm?: string, options?: Record<string, unknown>)
    get(key: string): string
  }
}
