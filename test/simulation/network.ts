/**
 * Links between simulated nodes: ordered channels with delays, one for each direction and role. A link can be cut, which loses
 * what is under way; a direction can be blocked, which holds it back (a one-way partition: the other direction goes on).
 */
interface Task {
  at: number
  run: () => void
}

interface Channel {
  from: number
  to: number
  /** The link it belongs to; null: requests that are forwarded. */
  link: string | null
  tasks: Task[]
}

export class Network {
  /** Open control links, "dialer>acceptor". */
  readonly links = new Set<string>()
  readonly #channels = new Map<string, Channel>()
  /** Directions "from>to" through which nothing comes until then. */
  readonly #blocked = new Map<string, number>()

  /** In order behind what was sent before. False: there is no such link. */
  send(link: string | null, from: number, to: number, at: number, run: () => void): boolean {
    if (link !== null && !this.links.has(link)) return false
    const name = `${link} ${from}>${to}`
    let channel = this.#channels.get(name)
    if (!channel) {
      channel = { from, to, link, tasks: [] }
      this.#channels.set(name, channel)
    }
    channel.tasks.push({ at: Math.max(at, channel.tasks.at(-1)?.at ?? 0), run })
    return true
  }

  /** What has arrived, unless its receiver does not read. */
  deliver(now: number, reads: (node: number) => boolean): void {
    for (const { from, to, tasks } of this.#channels.values()) {
      if (tasks.length === 0 || this.isBlocked(from, to, now)) continue
      while (tasks[0] && tasks[0].at <= now && reads(to)) tasks.shift()!.run()
    }
  }

  /** False: it was not there. */
  cut(link: string): boolean {
    if (!this.links.delete(link)) return false
    for (const channel of this.#channels.values()) if (channel.link === link) channel.tasks.length = 0
    return true
  }

  /** Requests that are forwarded to or by this node go with its connections. */
  cutRequests(node: number): void {
    for (const { link, from, to, tasks } of this.#channels.values())
      if (link === null && (from === node || to === node)) tasks.length = 0
  }

  block(from: number, to: number, until: number): void {
    this.#blocked.set(`${from}>${to}`, until)
  }

  isBlocked(from: number, to: number, now: number): boolean {
    if (this.#blocked.size === 0) return false
    const until = this.#blocked.get(`${from}>${to}`)
    if (until === undefined) return false
    if (until > now) return true
    this.#blocked.delete(`${from}>${to}`)
    return false
  }

  linksOf(node: number): string[] {
    return [...this.links].filter(link => link.split('>').includes(String(node)))
  }
}
