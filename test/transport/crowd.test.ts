/** Many connections in the same turn of a loop: what loop.ts promises each of them, whatever the others do meanwhile. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { HELD_BYTES_MAX } from '../../lib/transport/batch.js'
import type { Connection, ConnectionHandler, Listener, Loop } from '../../lib/transport/loop.js'
import { type Done, type Place, play, type Scene, WAYS } from './place.js'
import { handler, listen } from './scene-parts.js'

const CROWD = 40
const PIECE_MAX = 2 * HELD_BYTES_MAX
const LENGTH_BYTES = 4

type Random = (below: number) => number

function randomOf(seed: number): Random {
  let state = seed * 2654435761 + 1
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Sends in pieces of any size, from the loop's memory or from elsewhere; what is not taken waits. */
class Sender {
  readonly #loop: Loop
  readonly #random: Random
  #waiting = Buffer.alloc(0)

  constructor(loop: Loop, random: Random) {
    this.#loop = loop
    this.#random = random
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  push(connection: Connection, bytes: Uint8Array): void {
    const waits = !this.isEmpty
    this.#waiting = Buffer.concat([this.#waiting, bytes])
    if (!waits) this.go(connection)
  }

  go(connection: Connection): void {
    while (!this.isEmpty) {
      const piece = this.#waiting.subarray(0, 1 + this.#random(PIECE_MAX))
      const sent = this.#random(2) === 0 ? connection.write(piece) : this.#fromMemory(connection, piece)
      this.#waiting = this.#waiting.subarray(sent)
      if (sent < piece.length) return
    }
  }

  #fromMemory(connection: Connection, piece: Uint8Array): number {
    this.#loop.memory.set(piece, 64)
    const sent = connection.send(64, piece.length)
    // Whoever comes next uses the same memory.
    this.#loop.memory.fill(0, 64, 64 + piece.length)
    return sent
  }
}

/** Echoes as many bytes as the first four announce, and closes with the last one on its way. */
class Moody implements ConnectionHandler {
  static readonly all: Moody[] = []
  readonly #loop: Loop
  readonly #random: Random
  readonly #connection: Connection
  readonly #sender: Sender
  #left = -1
  #head = Buffer.alloc(0)
  #isPaused = false

  constructor(loop: Loop, random: Random, connection: Connection) {
    this.#loop = loop
    this.#random = random
    this.#connection = connection
    this.#sender = new Sender(loop, random)
  }

  onReadable(connection: Connection): void {
    if (this.#isPaused) throw new Error('heard while paused')
    for (let reads = this.#random(3); reads >= 0 && this.#read(connection); reads--);
    if (this.#random(8) === 0) this.#pauseFor(this.#random(3))
    if (this.#random(16) === 0) Moody.all[this.#random(Moody.all.length)]!.#pauseFor(1)
  }

  onWritable(connection: Connection): void {
    this.#sender.go(connection)
    this.#closeIfDone(connection)
  }

  onClose(): void {}

  #pauseFor(ms: number): void {
    if (this.#isPaused || this.#connection.closed) return
    this.#isPaused = true
    this.#connection.pauseReading()
    this.#loop.setTimer(ms, () => {
      this.#isPaused = false
      this.#connection.resumeReading()
    })
  }

  #read(connection: Connection): boolean {
    if (connection.closed) return false
    const at = this.#random(2) === 0 ? (connection.recvInPlace?.() ?? -1) : -1
    if (at >= 0) {
      this.#take(connection, Buffer.from(this.#loop.memory.subarray(at, at + connection.receivedBytes!)))
      return true
    }
    if (this.#random(3) === 0) {
      const bytes = connection.read()
      if (!bytes || bytes.length === 0) return false
      this.#take(connection, Buffer.from(bytes))
      return true
    }
    const count = connection.recv(100_000, 1 + this.#random(this.#random(2) === 0 ? 64 : PIECE_MAX))
    if (count <= 0) return false
    this.#take(connection, Buffer.from(this.#loop.memory.subarray(100_000, 100_000 + count)))
    return true
  }

  #take(connection: Connection, bytes: Buffer): void {
    const all = Buffer.concat([this.#head, bytes])
    if (this.#left < 0 && all.length < LENGTH_BYTES) {
      this.#head = all
      return
    }
    if (this.#left < 0) this.#left = all.readUInt32LE()
    this.#head = Buffer.alloc(0)
    this.#left -= all.length
    this.#sender.push(connection, all)
    this.#closeIfDone(connection)
  }

  #closeIfDone(connection: Connection): void {
    if (this.#left === 0 && this.#sender.isEmpty) connection.close()
  }
}

function moods(seed: number): Scene {
  return (place, done) => {
    const random = randomOf(seed)
    Moody.all.length = 0
    let ended = 0
    const greet = (connection: Connection) => {
      const moody = new Moody(place.server, random, connection)
      Moody.all.push(moody)
      return moody
    }
    const start = ({ port }: Listener) => {
      for (let i = 0; i < CROWD; i++) {
        const bytes = randomBytes(LENGTH_BYTES + random(random(4) === 0 ? 60_000 : 600))
        bytes.writeUInt32LE(bytes.length)
        echoed(place, port, bytes, random, problem => {
          if (problem !== null || ++ended === CROWD) done(problem)
        })
      }
    }
    listen(place, {}, greet, start, done)
  }
}

/** Says it all, and wants to hear it all again, then the end. */
function echoed({ client, host }: Place, port: number, bytes: Buffer, random: Random, done: Done): void {
  const sender = new Sender(client, random)
  let got = Buffer.alloc(0)
  const isOver = (part: Uint8Array | null) => {
    if (part && part.length > 0) got = Buffer.concat([got, part])
    if (got.length <= bytes.length && (!part || part.length > 0)) return false
    done(got.equals(bytes) ? null : `${got.length} of ${bytes.length} bytes came back`)
    return true
  }
  client.connect(
    { host, port },
    handler({
      onConnect: connection => sender.push(connection, bytes),
      onWritable: connection => sender.go(connection),
      onReadable(connection) {
        for (let part = connection.read(); !isOver(part) && part; part = connection.read());
      },
    }),
  )
}

/** A crowd says the same, all at once when all are here. */
function chorus(place: Place, text: string, greet: (connection: Connection) => ConnectionHandler, done: Done): void {
  const speakers: (() => void)[] = []
  let missing = 2 * CROWD
  const onHere = () => {
    if (--missing === 0) for (const speak of speakers) speak()
  }
  const welcome = (connection: Connection) => {
    onHere()
    return greet(connection)
  }
  const start = ({ port }: Listener) => {
    for (let i = 0; i < CROWD; i++) {
      const sender = new Sender(place.client, randomOf(i))
      const onWritable = (connection: Connection) => sender.go(connection)
      const own = handler({ onConnect: onHere, onWritable })
      const connection = place.client.connect({ host: place.host, port }, own)
      speakers.push(() => sender.push(connection, Buffer.from(text)))
    }
  }
  listen(place, {}, welcome, start, done)
}

const scenes: Record<string, Scene> = {
  'the first that is heard ends all others: none of them is heard any more, each end is told once': (place, done) => {
    const accepted: Connection[] = []
    const closed = new Map<Connection, number>()
    let first: Connection | null = null
    const greet = (connection: Connection) => {
      accepted.push(connection)
      return handler({
        onReadable(connection) {
          connection.read()
          if (first) {
            if (first !== connection) done('another one was heard')
            return
          }
          first = connection
          accepted.forEach((other, i) => {
            if (other === connection) return
            other.write(Buffer.from('never mind'))
            if (i % 2 === 0) other.destroy()
            else other.close()
            if (other.recv(64, 100) > 0) done('bytes of a closed connection')
          })
          place.server.setTimer(20, () => {
            const counts = [...closed.values()]
            done(counts.length === CROWD - 1 && counts.every(n => n === 1) ? null : `closes: ${counts}`)
          })
        },
        onClose: connection => void closed.set(connection, (closed.get(connection) ?? 0) + 1),
      })
    }
    chorus(place, 'hello', greet, done)
  },

  'the first that is heard pauses all others: they are heard when they are resumed, with every byte': (place, done) => {
    const accepted: Connection[] = []
    let first: Connection | null = null
    let isQuiet = false
    let heard = ''
    const greet = (connection: Connection) => {
      accepted.push(connection)
      return handler({
        onReadable(connection) {
          if (isQuiet && connection !== first) return done('heard while paused')
          heard += Buffer.from(connection.read() ?? []).toString()
          if (heard.length === CROWD * 5) return done(/^[helo]+$/.test(heard) ? null : heard)
          if (first) return
          first = connection
          isQuiet = true
          for (const other of accepted) if (other !== connection) other.pauseReading()
          place.server.setTimer(20, () => {
            isQuiet = false
            for (const other of accepted) other.resumeReading()
          })
        },
      })
    }
    chorus(place, 'hello', greet, done)
  },

  'what came for several is shown where it lies, all of it before the first is heard': (place, done) => {
    const { server } = place
    let shown: number[] = []
    let isComplete = false
    let inPlace = 0
    let heard = ''
    server.onAhead(
      (offset, length) => {
        if (isComplete) shown = []
        isComplete = false
        shown.push(offset)
        const bytes = Buffer.from(server.memory.subarray(offset, offset + length)).toString()
        if (bytes !== 'hello') done(`"${bytes}" was shown`)
      },
      () => {
        isComplete = true
      },
    )
    const onReadable = (connection: Connection) => {
      const at = connection.recvInPlace?.() ?? -1
      if (at >= 0 && !(isComplete && shown.includes(at))) done('heard before it was shown')
      if (at >= 0) inPlace++
      const bytes = at < 0 ? connection.read() : server.memory.subarray(at, at + connection.receivedBytes!)
      heard += Buffer.from(bytes ?? []).toString()
      if (at >= 0 && connection.read() !== null) done('something is left')
      if (heard.length < CROWD * 5) return
      if (!/^[helo]+$/.test(heard)) done(`"${heard}" was heard`)
      const isShown = server.kind !== 'uring' || inPlace > 0
      done(isShown ? null : `${inPlace} of ${CROWD} were there before they were heard`)
    }
    chorus(place, 'hello', () => handler({ onReadable }), done)
  },

  'what small sends took arrives though the reader is slow and the sender closes': (place, done) => {
    const piece = Buffer.alloc(HELD_BYTES_MAX - 96, 'x')
    let taken = 0
    let got = 0
    let reader: Connection | null = null
    const pour = (connection: Connection) => {
      const more = () => {
        for (let i = 0; i < 100; i++) {
          const sent = connection.write(piece)
          taken += sent
          if (sent === piece.length) continue
          connection.close()
          place.client.setTimer(10, () => reader!.resumeReading())
          return
        }
        place.server.soon(more)
      }
      place.server.setTimer(10, more)
      return handler({})
    }
    const onReadable = (connection: Connection) => {
      for (let part = connection.read(); part; part = connection.read()) {
        got += part.length
        if (part.length === 0) return done(got === taken ? null : `${got} of ${taken} bytes`)
      }
    }
    const start = ({ port }: Listener) => {
      const onConnect = (connection: Connection) => {
        reader = connection
        connection.pauseReading()
      }
      place.client.connect({ host: place.host, port }, handler({ onConnect, onReadable }))
    }
    listen(place, {}, pour, start, done)
  },
}
for (const seed of [1, 2, 3, 4, 5, 6]) scenes[`everybody echoes in his own way, moods ${seed}`] = moods(seed)

for (const way of WAYS) {
  t.test(way, async t => {
    for (const [name, scene] of Object.entries(scenes)) t.equal(await play(way, scene), null, name)
  })
}
