/** Peer links on every world: who is let in, who is refused in which words, and frames in order under backpressure. */
import t from 'tap'
import { encodeFrame, FrameDecoder, FrameType, PEER_PROTOCOL_VERSION } from '../../lib/transport/frame.js'
import {
  type AcceptOptions,
  acceptLink,
  type DialOptions,
  dialLink,
  type Link,
  type LinkCallbacks,
} from '../../lib/transport/link.js'
import type { Connection } from '../../lib/transport/loop.js'
import { type Done, type Place, play, type Scene, WAYS } from './place.js'

const SEEDS = [1, 2, 3, 4, 5]
const PAYLOAD = Buffer.from('payload')

interface Sides {
  acceptor?: Partial<AcceptOptions>
  dialer?: Partial<DialOptions>
  accepted?: Partial<LinkCallbacks>
  dialed?: Partial<LinkCallbacks>
}

function callbacks(parts: Partial<LinkCallbacks> = {}): LinkCallbacks {
  return { onOpen() {}, onFrame() {}, onRefused() {}, onClose() {}, ...parts }
}

function serve(place: Place, { acceptor, accepted }: Sides, onPort: (port: number) => void, done: Done): void {
  const self = { id: 'a', incarnation: '17' }
  const options: AcceptOptions = { secret: 'secret', self, accepts: ['control', 'data'], ...acceptor }
  place.server.listen(
    { host: place.host, port: 0 },
    connection => acceptLink(connection, place.server, options, callbacks(accepted)),
    listener => onPort(listener.port),
    done,
  )
}

function join(place: Place, sides: Sides, done: Done): void {
  const self = { id: 'b', incarnation: '23' }
  const options: DialOptions = { secret: 'secret', self, purpose: 'control', ...sides.dialer }
  const dial = (port: number) => dialLink(place.client, { host: place.host, port }, options, callbacks(sides.dialed))
  serve(place, sides, dial, done)
}

/** Both sides hear `sentence`, and both hear that the link is closed; neither is ever open. */
function refused(sides: Sides, sentence: string): Scene {
  return (place, done) => {
    const heard: string[] = []
    const hear = (what: string) => {
      heard.push(what)
      if (heard.length === 4) {
        const told = heard.filter(one => one === sentence).length
        done(told === 2 ? null : heard.join(' | '))
      }
    }
    const both = {
      onOpen: () => done('it opened'),
      onRefused: hear,
      onClose: (_: Link, reason: string) => hear(`closed: ${reason}`),
    }
    join(place, { ...sides, accepted: both, dialed: both }, done)
  }
}

/** A peer that says whatever the test wants, byte by byte if need be. */
function raw(
  place: Place,
  port: number,
  onConnect: (connection: Connection) => void,
  onBytes?: (bytes: Buffer) => void,
) {
  return place.client.connect(
    { host: place.host, port },
    {
      onConnect,
      onReadable(connection) {
        for (let part = connection.read(); part && part.length > 0; part = connection.read())
          onBytes?.(Buffer.from(part))
      },
      onWritable() {},
      onClose() {},
    },
  )
}

function hello(fields: object): Buffer {
  const content = {
    protocol: PEER_PROTOCOL_VERSION,
    purpose: 'control',
    id: 'b',
    incarnation: '1',
    nonce: '00',
    ...fields,
  }
  return encodeFrame({ type: FrameType.hello, hops: 0, id: 0, epoch: 0, payload: Buffer.from(JSON.stringify(content)) })
}

/** The acceptor closes a stranger for `reason`, and the stranger is never let in. */
function cutOff(
  bytes: Buffer | ((connection: Connection) => void),
  reason: RegExp,
  acceptor?: Sides['acceptor'],
): Scene {
  return (place, done) => {
    const accepted = {
      onOpen: () => done('it opened'),
      onClose: (_: Link, told: string) => done(reason.test(told) ? null : told),
    }
    const speak = typeof bytes === 'function' ? bytes : (connection: Connection) => void connection.write(bytes)
    serve(place, { accepted, ...(acceptor ? { acceptor } : {}) }, port => raw(place, port, speak), done)
  }
}

const scenes: Record<string, Scene> = {
  'both prove who they are': (place, done) => {
    const heard: string[] = []
    const onOpen = (link: Link, { id, incarnation, purpose }: { id: string; incarnation: string; purpose: string }) => {
      heard.push(`${id} ${incarnation} ${purpose}`)
      if (!link.open || link.peer?.id !== id) done('open without a peer')
      if (heard.length === 2) done(heard.sort().join() === 'a 17 control,b 23 control' ? null : heard.join())
    }
    join(place, { accepted: { onOpen }, dialed: { onOpen } }, done)
  },
  'no secret, from loopback': (place, done) => {
    if (place.kind === 'simulated') return done(null)
    join(place, { acceptor: { secret: null }, dialer: { secret: null }, dialed: { onOpen: () => done(null) } }, done)
  },
  'no secret, from elsewhere': (place, done) => {
    if (place.kind !== 'simulated') return done(null)
    const sentence = 'without a peer secret only loopback addresses may connect, not 10.0.0.2'
    refused({ acceptor: { secret: null }, dialer: { secret: null } }, sentence)(place, done)
  },
  'another secret': refused({ dialer: { secret: 'guess' } }, 'the peer secret is not the same on both sides'),
  'a secret on one side only': refused({ dialer: { secret: null } }, 'the peer secret is not the same on both sides'),
  'another version': refused(
    { dialer: { protocol: 1 } },
    `the peer protocol is version ${PEER_PROTOCOL_VERSION} here, not 1`,
  ),
  'another purpose': refused({ dialer: { purpose: 'store' } }, 'this port takes control and data links, not "store"'),
  'a peer that is not wanted': refused(
    { acceptor: { authorize: ({ id }) => `node ${id} has left the tier` } },
    'node b has left the tier',
  ),
  'a proof sent back to its maker': (place, done) => {
    // Without a role in the HMAC, a stranger could answer a challenge with the challenger's own proof.
    const decoder = new FrameDecoder()
    let stranger: Connection | null = null
    const reflect = (bytes: Buffer) => {
      decoder.feed(bytes)
      const frame = decoder.next()
      if (frame?.type !== FrameType.challenge) return
      const { proof } = JSON.parse(Buffer.from(frame.payload).toString()) as { proof: string }
      const payload = Buffer.from(JSON.stringify({ proof }))
      stranger?.write(encodeFrame({ type: FrameType.proof, hops: 0, id: 0, epoch: 0, payload }))
    }
    const accepted = { onOpen: () => done('it opened'), onRefused: () => done(null) }
    const speak = (connection: Connection) => {
      stranger = connection
      connection.write(hello({ id: 'a', incarnation: '17' }))
    }
    serve(place, { accepted }, port => raw(place, port, speak, reflect), done)
  },
  'a memcached client at the wrong port': cutOff(
    Buffer.from('get some_key_or_other\r\n'),
    /a frame says it is \d+ bytes/,
  ),
  'a frame too long for a stranger': cutOff(
    encodeFrame({ type: FrameType.hello, hops: 0, id: 0, epoch: 0, payload: Buffer.alloc(5000) }),
    /5016 bytes long, allowed are 16 to 4096/,
  ),
  'a hello that is no JSON': cutOff(
    encodeFrame({ type: FrameType.hello, hops: 0, id: 0, epoch: 0, payload: Buffer.from('{') }),
    /not a JSON object/,
  ),
  'a hello without a name': cutOff(hello({ id: 5 }), /a field missing or too long/),
  'a request before the handshake': cutOff(
    encodeFrame({ type: FrameType.request, hops: 0, id: 1, epoch: 0, payload: PAYLOAD }),
    /frame type 16 before the handshake/,
  ),
  'cut in the middle of the hello': cutOff(connection => {
    connection.write(hello({}).subarray(0, 30))
    connection.close()
  }, /closed by the peer/),
  'silence in the handshake': cutOff(
    connection => void connection.write(hello({}).subarray(0, 30)),
    /no handshake within 40 ms/,
    { handshakeLimitMs: 40 },
  ),
  'a dial that nobody answers': (place, done) => {
    serve(
      place,
      {},
      () => {
        const self = { id: 'b', incarnation: '1' }
        const onClose = (_: Link, reason: string) => done(reason === 'connection refused' ? null : reason)
        const options: DialOptions = { secret: null, self, purpose: 'data' }
        dialLink(place.client, { host: place.host, port: 1 }, options, callbacks({ onClose }))
      },
      done,
    )
  },

  'frames in order, both ways, of all sizes': (place, done) => {
    const sizes = [0, 1, 100, 65_000, 65_536, 300_000, 3_000_000, 5, 70_000, 0]
    let echoed = 0
    const onFrame = (link: Link, frame: { id: number; payload: Uint8Array }) =>
      void link.send(FrameType.reply, frame.id, 9, frame.payload, 3)
    const onEcho = (_: Link, { type, id, epoch, hops, payload }: Parameters<LinkCallbacks['onFrame']>[1]) => {
      if (type !== FrameType.reply || id !== echoed || epoch !== 9 || hops !== 3) return done(`${type} ${id} ${epoch}`)
      const expected = Buffer.alloc(sizes[id]!, id + 1)
      if (!expected.equals(payload)) return done(`other bytes in frame ${id}`)
      if (++echoed === sizes.length) done(null)
    }
    const onOpen = (link: Link) => {
      sizes.forEach((size, id) => {
        link.send(FrameType.request, id, 1, Buffer.alloc(size, id + 1))
      })
    }
    join(place, { accepted: { onFrame }, dialed: { onOpen, onFrame: onEcho } }, done)
  },

  'pause holds frames that have arrived, resume lets them go on in order': (place, done) => {
    const got: number[] = []
    let held = false
    const onFrame = (link: Link, { id }: { id: number }) => {
      if (held) return done('a frame while paused')
      got.push(id)
      if (got.length === 100) return done(got.every((id, index) => id === index) ? null : got.join())
      if (id % 10 !== 0) return
      held = true
      link.pause()
      place.server.setTimer(2, () => {
        held = false
        link.resume()
      })
    }
    const onOpen = (link: Link) => {
      for (let id = 0; id < 100; id++) link.send(FrameType.request, id, 1, PAYLOAD)
    }
    join(place, { accepted: { onFrame }, dialed: { onOpen } }, done)
  },

  'a slow peer: send says so, and onDrained comes when all is out': (place, done) => {
    let frames = 0
    let sent = 0
    const payload = Buffer.alloc(100_000)
    const onFrame = () => {
      frames++
    }
    const onOpenPaused = (link: Link) => {
      link.pause()
      place.server.setTimer(10, () => link.resume())
    }
    const onOpen = (link: Link) => {
      while (sent < 500 && link.send(FrameType.request, sent, 1, payload)) sent++
      if (sent === 500) done('50 MB went out to a peer that does not read')
      if (link.queuedBytes === 0) done('false, but nothing is queued')
    }
    const onDrained = (link: Link) => {
      if (link.queuedBytes !== 0) return done(`${link.queuedBytes} bytes are queued`)
      const wait = () => (frames === sent + 1 ? done(null) : place.client.setTimer(1, wait))
      wait()
    }
    join(place, { accepted: { onOpen: onOpenPaused, onFrame }, dialed: { onOpen, onDrained } }, done)
  },

  'a peer that never reads is cut off when the queue is full': (place, done) => {
    const payload = Buffer.alloc(1 << 20)
    const onOpen = (link: Link) => {
      for (let id = 0; id < 200 && link.open; id++) link.send(FrameType.request, id, 1, payload)
      if (link.queuedBytes > 10 << 20) done(`${link.queuedBytes} bytes are queued`)
    }
    const onClose = (_: Link, reason: string) =>
      done(/^\d+ bytes wait for a peer that does not read them$/.test(reason) ? null : reason)
    const accepted = { onOpen: (link: Link) => link.pause() }
    join(place, { accepted, dialer: { queueBytesMax: 8 << 20 }, dialed: { onOpen, onClose } }, done)
  },

  'close is heard on both sides, once, and what was sent before arrives': (place, done) => {
    const heard: string[] = []
    let frames = 0
    const hear = (who: string) => (_: Link, reason: string) => {
      heard.push(`${who} ${reason}`)
      const finish = () => {
        const told = heard.sort().join() === 'acceptor closed by the peer,dialer closed'
        done(told && frames === 3 ? null : `${frames} frames, ${heard.join()}`)
      }
      if (heard.length === 2) place.client.setTimer(5, finish)
    }
    const onOpen = (link: Link) => {
      for (let id = 0; id < 3; id++) link.send(FrameType.request, id, 1, PAYLOAD)
      // Later than what the simulated world may hold back of a send.
      place.client.setTimer(10, () => {
        link.close()
        link.close()
        if (link.send(FrameType.request, 4, 1, PAYLOAD)) done('sent on a closed link')
      })
    }
    const accepted = { onFrame: () => void frames++, onClose: hear('acceptor') }
    join(place, { accepted, dialed: { onOpen, onClose: hear('dialer') } }, done)
  },
}

for (const kind of WAYS) {
  t.test(kind, async t => {
    for (const [name, scene] of Object.entries(scenes)) {
      const seeds = kind === 'simulated' ? SEEDS : [0]
      for (const seed of seeds) t.equal(await play(kind, scene, seed), null, `${name}${seed ? `, seed ${seed}` : ''}`)
    }
  })
}
