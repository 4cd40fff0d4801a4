/**
 * Serves an embedded topology store over peer links of purpose `store`. Each link is a session; a node's lease lives as
 * long as its session renews it, and not longer than the link. It may not know what the document means.
 */
import { FrameType } from '../transport/frame.js'
import { acceptLink, type Link, type LinkIdentity } from '../transport/link.js'
import type { Address, Listener, Loop } from '../transport/loop.js'
import type { EmbeddedStore } from './embedded-store.js'
import { decodeRequest, encodeStore, type StoreReply, type StoreRequest } from './embedded-wire.js'
import type { Versioned, VoterLinks } from './store.js'
import type { PromiseRequest } from './voter.js'

export interface EmbeddedServerOptions {
  loop: Loop
  store: EmbeddedStore
  listen: Address
  secret: string | null
  self: LinkIdentity
  /** A sentence for the log. */
  onEvent(sentence: string): void
}

/** Over this a slow watcher misses intermediate documents; it gets the newest one when it has read what it was sent. */
const QUEUED_BYTES_MAX = 1 << 20
const SESSIONS_MAX = 5000

interface Session {
  link: Link
  endWatch: (() => void) | null
  /** A document that the watcher is too slow for. */
  owed: Versioned | null
  /** The node that is kept alive by it. */
  node: string | null
}

export class EmbeddedServer implements VoterLinks {
  readonly #options: EmbeddedServerOptions
  readonly #sessions = new Map<Link, Session>()
  #listener: Listener | null = null
  #onPromised: (nodeId: string, request: PromiseRequest) => void = () => {}
  /** Links that were refused: wrong secret, another protocol version, no secret from afar. */
  refused = 0

  constructor(options: EmbeddedServerOptions) {
    this.#options = options
  }

  start(onListening: (port: number) => void, onError: (sentence: string) => void): void {
    const { loop, listen, self, secret } = this.#options
    loop.listen(
      listen,
      connection => acceptLink(connection, loop, { self, secret, accepts: ['store'] }, this.#callbacks()),
      listener => {
        this.#listener = listener
        onListening(listener.port)
      },
      onError,
    )
  }

  stop(): void {
    this.#listener?.close()
    for (const link of [...this.#sessions.keys()]) {
      this.#end(link)
      link.close()
    }
  }

  /** To every link that the node keeps alive: an old one of it may not have ended yet. */
  ask(nodeId: string, request: PromiseRequest): void {
    for (const session of this.#sessions.values()) {
      if (session.node === nodeId) this.#reply(session, 0, { error: null, ask: request })
    }
  }

  onPromised(handler: (nodeId: string, request: PromiseRequest) => void): void {
    this.#onPromised = handler
  }

  #callbacks() {
    const { onEvent } = this.#options
    return {
      onOpen: (link: Link) => {
        if (this.#sessions.size >= SESSIONS_MAX) {
          onEvent(`more than ${SESSIONS_MAX} links to the topology store: one was closed`)
          link.close()
          return
        }
        this.#sessions.set(link, { link, endWatch: null, owed: null, node: null })
      },
      onFrame: (link: Link, frame: { type: number; id: number; payload: Uint8Array }) => {
        const session = this.#sessions.get(link)
        if (session && frame.type === FrameType.store) this.#onRequest(session, frame.id, frame.payload)
      },
      onRefused: (sentence: string) => {
        this.refused++
        onEvent(`a link to the topology store was refused: ${sentence}`)
      },
      onDrained: (link: Link) => {
        const session = this.#sessions.get(link)
        if (session?.owed) this.#tell(session, session.owed)
      },
      onClose: (link: Link) => this.#end(link),
    }
  }

  #end(link: Link): void {
    const session = this.#sessions.get(link)
    if (!session) return
    session.endWatch?.()
    this.#options.store.drop(session)
    this.#sessions.delete(link)
  }

  #onRequest(session: Session, id: number, payload: Uint8Array): void {
    let request: StoreRequest
    try {
      request = decodeRequest(payload)
    } catch (error) {
      this.#reply(session, id, { error: `the request was not understood (${(error as Error).message})` })
      return
    }
    const { store } = this.#options
    if (request.op === 'keepAlive') {
      session.node = request.node
      store.renew(request.node, request.status, session)
    } else if (request.op === 'vouch') this.#reply(session, id, { error: null, refusal: store.vouch(request.request) })
    else if (request.op === 'promised') {
      if (session.node !== null) this.#onPromised(session.node, request.request)
    } else if (request.op === 'watch') this.#watch(session)
    else if (request.op === 'read')
      store.read((error, value) => this.#reply(session, id, value ? { error, value } : { error }))
    else if (request.op === 'statuses')
      store.statuses((error, live) => this.#reply(session, id, { error, live: [...live] }))
    else
      store.compareAndSet(request.expected, request.topology, (error, done) =>
        this.#reply(session, id, { error, done }),
      )
  }

  /** Asked again, it begins again: with the value as it is now. */
  #watch(session: Session): void {
    session.endWatch?.()
    session.endWatch = this.#options.store.watch(value => this.#tell(session, value))
  }

  #reply(session: Session, id: number, reply: StoreReply): void {
    if (this.#sessions.has(session.link)) session.link.send(FrameType.store, id, 0, encodeStore(reply))
  }

  #tell(session: Session, value: Versioned): void {
    if (session.link.queuedBytes > QUEUED_BYTES_MAX) {
      session.owed = value
      return
    }
    session.owed = null
    this.#reply(session, 0, { error: null, value })
  }
}
