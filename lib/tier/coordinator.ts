/**
 * The coordinator: the embedded topology store, served, and the controller that turns wishes into generations. Killed and
 * started again it goes on from its document; nothing else of it is worth remembering.
 */
import type { LinkIdentity } from '../transport/link.js'
import type { Address, Loop } from '../transport/loop.js'
import { ControllerLoop } from './controller-loop.js'
import { EmbeddedServer } from './embedded-server.js'
import { type DocumentFile, EmbeddedStore } from './embedded-store.js'
import { AWAY_AFTER_DEFAULT_MS } from './outages.js'
import type { Topology } from './topology.js'

export interface CoordinatorOptions {
  loop: Loop
  file: DocumentFile
  /** The document of a tier that starts for the first time. */
  first: Topology
  listen: Address
  secret: string | null
  self: LinkIdentity
  /** See outages.ts. Default AWAY_AFTER_DEFAULT_MS. */
  awayAfterMs?: number
  /** A sentence for the log. */
  onEvent(sentence: string): void
}

export class Coordinator {
  readonly store: EmbeddedStore
  readonly #server: EmbeddedServer
  readonly #controller: ControllerLoop

  /** Throws DamagedFile when the document cannot be used. */
  constructor({ loop, file, first, listen, secret, self, onEvent, awayAfterMs }: CoordinatorOptions) {
    this.store = new EmbeddedStore({ loop, file, first })
    this.#server = new EmbeddedServer({ loop, store: this.store, listen, secret, self, onEvent })
    this.#controller = new ControllerLoop(this.store, loop, onEvent, {
      awayAfterMs: awayAfterMs ?? AWAY_AFTER_DEFAULT_MS,
      voters: this.#server,
    })
  }

  start(onListening: (port: number) => void, onError: (sentence: string) => void): void {
    this.#server.start(port => {
      this.#controller.start()
      onListening(port)
    }, onError)
  }

  /** Links that were refused since the start. */
  get refused(): number {
    return this.#server.refused
  }

  stop(): void {
    this.#controller.stop()
    this.#server.stop()
    this.store.close()
  }
}
