/** One battery of behaviours for every world: what loop.ts promises. */
import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import type { Connection, Listener, ListenOptions } from '../../lib/transport/loop.js'
import { RESET_BY_PEER } from '../../lib/transport/words.js'
import { type Done, type Place, play, type Scene, WAYS } from './place.js'
import { ask, Echo, handler, listen } from './scene-parts.js'

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8]

const scenes: Record<string, Scene> = {
  'an echo, and who is who': (place, done) => {
    const remotes: string[] = []
    const greet = (connection: Connection) => {
      remotes.push(connection.remote.host)
      return new Echo(place.server)
    }
    listen(
      place,
      {},
      greet,
      ({ port }) => {
        let returned = false
        const connection = ask(place, port, Buffer.from('hello'), (answer, connection) => {
          const from = place.kind === 'simulated' ? '10.0.0.2' : '127.0.0.1'
          if (!returned) done('called from within connect')
          else if (answer.toString() !== 'hello') done(`got ${answer}`)
          else if (connection.remote.port !== port || connection.remote.host !== place.host) done('another remote')
          else if (connection.local.port === 0) done('no local port')
          else done(remotes.join() === from ? null : `accepted from ${remotes}`)
        })
        returned = true
        if (connection.closed) done('closed at once')
      },
      done,
    )
  },

  'eight megabytes there and back, with backpressure': (place, done) => {
    const bytes = randomBytes(8 << 20)
    const hash = (some: Buffer) => createHash('sha1').update(some).digest('hex')
    const start = ({ port }: Listener) =>
      ask(place, port, bytes, answer => done(hash(answer) === hash(bytes) ? null : 'other bytes came back'))
    listen(place, {}, () => new Echo(place.server, 100_000), start, done)
  },

  'a send that the connection cannot take is short, and onWritable follows': (place, done) => {
    const block = Buffer.alloc(1 << 20)
    let reader: Connection | null = null
    let wasShort = false
    const hold = (connection: Connection) => {
      reader = connection
      connection.pauseReading()
      return handler({
        onReadable(connection) {
          for (let part = connection.read(); part && part.length > 0; part = connection.read());
        },
      })
    }
    const fill = (connection: Connection) => {
      for (let i = 0; i < 64 && !wasShort; i++) wasShort = connection.write(block) < block.length
      if (!wasShort) done('64 MiB were taken and nobody reads')
      const unpause = () => (reader ? reader.resumeReading() : place.client.setTimer(1, unpause))
      unpause()
    }
    listen(
      place,
      {},
      hold,
      ({ port }) => {
        const onWritable = () => done(wasShort ? null : 'writable before it was short')
        place.client.connect({ host: place.host, port }, handler({ onConnect: fill, onWritable }))
      },
      done,
    )
  },

  'what was sent before a close arrives, then the end': (place, done) => {
    const bytes = randomBytes(200_000)
    let got = 0
    const take = () =>
      handler({
        onReadable(connection) {
          for (;;) {
            const count = connection.recv(64, 3000)
            if (count === 0) return
            if (count < 0) {
              if (connection.recv(64, 3000) !== -1) done('the end is not the end')
              return done(got === bytes.length ? null : `${got} bytes came`)
            }
            got += count
          }
        },
      })
    const start = ({ port }: Listener) => {
      let sent = 0
      const go = (connection: Connection) => {
        sent += connection.write(bytes.subarray(sent))
        if (sent === bytes.length) connection.close()
      }
      place.client.connect({ host: place.host, port }, handler({ onConnect: go, onWritable: go }))
    }
    listen(place, {}, take, start, done)
  },

  'bytes that nobody read do not turn a last reply into a reset': (place, done) => {
    const reply = Buffer.from('ERROR Too many open connections\r\n')
    const refuse = (connection: Connection) => {
      let sent = 0
      const shut = () => {
        sent += connection.write(reply.subarray(sent))
        if (sent === reply.length) connection.close()
      }
      place.server.setTimer(20, shut)
      connection.pauseReading()
      return handler({ onWritable: shut })
    }
    const start = ({ port }: Listener) => {
      let got = ''
      place.client.connect(
        { host: place.host, port },
        handler({
          onConnect: connection => void connection.write(Buffer.from('get a\r\n')),
          onReadable(connection) {
            for (let part = connection.read(); part; part = connection.read()) {
              if (part.length === 0) return done(got === reply.toString() ? null : `got ${JSON.stringify(got)}`)
              got += Buffer.from(part).toString()
            }
          },
          onClose: (_, reason) => done(`closed: ${reason}`),
        }),
      )
    }
    listen(place, {}, refuse, start, done)
  },

  'unread bytes are told again, in later turns': (place, done) => {
    let calls = 0
    let got = ''
    const slow = () =>
      handler({
        onReadable(connection) {
          calls++
          const count = connection.recv(64, 1)
          if (count > 0) got += String.fromCharCode(place.server.memory[64]!)
          if (got === 'abcde') done(calls >= 5 ? null : `${calls} calls`)
        },
      })
    const start = ({ port }: Listener) => ask(place, port, Buffer.from('abcde'), () => {})
    listen(place, {}, slow, start, done)
  },

  'a paused connection hears nothing until it is resumed': (place, done) => {
    let paused = true
    const pausing = (connection: Connection) => {
      connection.pauseReading()
      place.server.setTimer(30, () => {
        paused = false
        connection.resumeReading()
      })
      return handler({
        onReadable: connection => done(paused ? 'heard while paused' : connection.read()?.length ? null : 'lost'),
      })
    }
    const start = ({ port }: Listener) => ask(place, port, Buffer.from('hello'), () => {})
    listen(place, {}, pausing, start, done)
  },

  'a reset is told once, in plain words, also to who reads nothing': (place, done) => {
    let closes = 0
    const wait = (connection: Connection) => {
      connection.pauseReading()
      return handler({
        onClose(connection, reason) {
          closes++
          if (!connection.closed) done('not closed')
          place.server.setTimer(5, () => done(closes === 1 && reason === RESET_BY_PEER ? null : `${closes}: ${reason}`))
        },
      })
    }
    const start = ({ port }: Listener) =>
      place.client.connect({ host: place.host, port }, handler({ onConnect: connection => connection.destroy() }))
    listen(place, {}, wait, start, done)
  },

  'close is idempotent, and onClose comes once and later': (place, done) => {
    let closes = 0
    let inClose = false
    const start = ({ port }: Listener) => {
      const onConnect = (connection: Connection) => {
        inClose = true
        connection.close()
        connection.close()
        connection.destroy()
        inClose = false
        place.client.setTimer(20, () => done(closes === 1 ? null : `${closes} times`))
      }
      const onClose = (_: Connection, reason: string) => {
        closes++
        if (inClose) done('from within close')
        if (reason !== 'closed') done(reason)
      }
      place.client.connect({ host: place.host, port }, handler({ onConnect, onClose }))
    }
    listen(place, {}, () => handler({}), start, done)
  },

  'three hundred connections at once': (place, done) => {
    const count = 300
    let answered = 0
    const start = ({ port }: Listener) => {
      for (let i = 0; i < count; i++) {
        const text = `connection ${i} ${'x'.repeat(i * 7)}`
        ask(place, port, Buffer.from(text), (answer, connection) => {
          if (answer.toString() !== text) return done(`connection ${i} got ${answer.toString().slice(0, 30)}`)
          connection.close()
          if (++answered === count) done(null)
        })
      }
    }
    listen(place, { backlog: 512 }, () => new Echo(place.server), start, done)
  },

  'writing before the connection stands is short, and goes on': (place, done) => {
    const start = ({ port }: Listener) => {
      let taken = 0
      const go = (connection: Connection) => {
        if (taken < 2) taken += connection.write(Buffer.from('hi').subarray(taken))
      }
      const connection = place.client.connect(
        { host: place.host, port },
        handler({
          onWritable: go,
          onReadable: connection => {
            const part = connection.read()
            if (part && part.length > 0) done(null)
          },
        }),
      )
      go(connection)
    }
    listen(place, {}, () => new Echo(place.server), start, done)
  },

  'timers in order, cleared ones never, soon before them': ({ client }, done) => {
    const heard: string[] = []
    const say = (word: string) => () => void heard.push(word)
    client.setTimer(30, say('30'))
    client.setTimer(10, say('10'))
    const cleared = client.setTimer(15, say('cleared'))
    client.setTimer(20, say('20'))
    client.soon(say('soon'))
    client.clearTimer(cleared)
    client.clearTimer(cleared)
    const before = client.now()
    client.setTimer(40, () => {
      if (client.now() - before < 39) return done(`${client.now() - before} ms`)
      if (Math.abs(client.wallClock() - before / 1000) < 1e6) return done('wallClock is no Unix time')
      done(heard.join() === 'soon,10,20,30' ? null : heard.join())
    })
  },

  'a dial that nobody answers': (place, done) => {
    const none = ({ port, close }: Listener & { close(): void }) => {
      close()
      const onConnect = () => done('connected')
      const onClose = (_: Connection, reason: string) => done(reason === 'connection refused' ? null : reason)
      place.client.setTimer(5, () => place.client.connect({ host: place.host, port }, handler({ onConnect, onClose })))
    }
    listen(
      place,
      {},
      () => handler({}),
      listener => none({ port: listener.port, close: () => listener.close() }),
      done,
    )
  },

  'a taken port': (place, done) => taken(place, {}, {}, done),
  'a port taken by one of our own kind that shares': (place, done) =>
    taken(place, { shared: true }, { shared: true }, done),

  'two listeners share a port': (place, done) => {
    const accepted = [0, 0]
    const echo = (index: number) => () => {
      accepted[index]!++
      return new Echo(place.server)
    }
    const both = (port: number) => {
      let answered = 0
      for (let i = 0; i < 100; i++) {
        ask(place, port, Buffer.from('hello'), (_, connection) => {
          connection.close()
          // Who accepts is the kernel's choice; on the net world both are one thread, and the first may take all.
          if (++answered === 100) done(accepted[0]! + accepted[1]! === 100 ? null : accepted.join())
        })
      }
    }
    listen(
      place,
      { shared: true },
      echo(0),
      ({ port, fd }) => {
        const second = place.kind === 'net' ? { fd: fd! } : { joins: true }
        listen(place, { shared: true, port, ...second }, echo(1), () => both(port), done)
      },
      done,
    )
  },
}

function taken(place: Place, first: Partial<ListenOptions>, second: Partial<ListenOptions>, done: Done): void {
  const again = ({ port }: Listener) => {
    const expected = `port ${port} on ${place.host} is taken`
    const hear: Done = sentence => done(sentence === expected ? null : sentence)
    if (place.kind === 'simulated') return done(null)
    listen(
      place,
      { ...second, port },
      () => handler({}),
      () => done('listens twice'),
      hear,
    )
  }
  listen(place, first, () => handler({}), again, done)
}

for (const kind of WAYS) {
  t.test(kind, async t => {
    for (const [name, scene] of Object.entries(scenes)) {
      const seeds = kind === 'simulated' ? SEEDS : [0]
      for (const seed of seeds) t.equal(await play(kind, scene, seed), null, `${name}${seed ? `, seed ${seed}` : ''}`)
    }
  })
}

for (const kind of WAYS.filter(kind => kind !== 'simulated')) {
  t.test(`${kind}: stop closes both ends, and each hears of it`, async t => {
    let closes = 0
    const onClose = () => void closes++
    const scene: Scene = (place, done) =>
      listen(
        place,
        {},
        () => handler({ onClose }),
        ({ port }) => {
          const onConnect = () => void place.client.setTimer(10, () => done(null))
          place.client.connect({ host: place.host, port }, handler({ onConnect, onClose }))
        },
        done,
      )
    t.equal(await play(kind, scene), null)
    while (closes < 2) await new Promise(setImmediate)
    t.equal(closes, 2)
  })
}
