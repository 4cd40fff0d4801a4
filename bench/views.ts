/** Clients of an experiment as views: npm's memcached, and the plain one that hides nothing; all are closed together. */
import { type Client, NpmClient, PlainClient, type Server } from './clients.js'
import type { View } from './load.js'

export class Opened {
  readonly #clients: Client[] = []

  async npm(list: View['list'], servers: Server[]): Promise<View> {
    return this.#view(list, 'npm memcached', await NpmClient.open(servers))
  }

  /** `limitMs`: see PlainClient. */
  plain(list: View['list'], servers: Server[], limitMs?: (server: number) => number): View {
    return this.#view(list, 'plain', new PlainClient(servers, limitMs))
  }

  close(): void {
    for (const client of this.#clients.splice(0)) client.close()
  }

  #view(list: View['list'], name: string, client: Client): View {
    this.#clients.push(client)
    return { name: `${list} (${name})`, list, client }
  }
}
