/** The simulated world itself: the same seed is the same history, and its faults do what they say. */
import t from 'tap'
import type { Connection, ConnectionHandler, Loop } from '../../lib/transport/loop.js'
import { SimulatedWorld } from '../../lib/transport/simulated.js'

function handler(parts: Partial<ConnectionHandler>): ConnectionHandler {
  return { onReadable() {}, onWritable() {}, onClose() {}, ...parts }
}

function text(connection: Connection): string {
  let got = ''
  for (let part = connection.read(); part; part = connection.read()) {
    if (part.length === 0) return `${got}|`
    got += Buffer.from(part).toString()
  }
  return got
}

/** A host that answers every piece with itself. */
function echoOn(loop: Loop, port: number, log?: string[]): void {
  const echo = handler({
    onReadable(connection) {
      const got = text(connection)
      if (got.endsWith('|')) connection.close()
      else connection.write(Buffer.from(got))
    },
    onClose: (_, reason) => log?.push(`server: ${reason}`),
  })
  loop.listen(
    { host: '0.0.0.0', port },
    () => echo,
    () => {},
    sentence => log?.push(sentence),
  )
}

function dial(loop: Loop, host: string, log: string[], say = 'hello'): Connection {
  return loop.connect(
    { host, port: 7 },
    handler({
      onConnect: connection => void connection.write(Buffer.from(say)),
      onReadable: connection => void log.push(`got ${text(connection)}`),
      onClose: (_, reason) => void log.push(reason),
    }),
  )
}

/** Many hosts that talk, cuts, crashes: everything a test of the tier does, in small. */
function history(seed: number): string {
  const lines: string[] = []
  const world = new SimulatedWorld(seed, { resetChance: 0.01, trace: line => lines.push(line) })
  const names = ['a', 'b', 'c', 'd']
  for (const name of names) echoOn(world.loop(name), 7)
  for (let i = 0; i < 100; i++) {
    world.after(world.random() * 300, () => {
      const from = names[Math.floor(world.random() * 4)]!
      const to = names[Math.floor(world.random() * 4)]!
      dial(world.loop(from), to, lines, `message ${i} `.repeat(20))
    })
  }
  world.after(100, () => world.cut('a', 'b'))
  world.after(150, () => world.crash('c'))
  world.after(160, () => echoOn(world.loop('c'), 7))
  world.after(200, () => world.heal('a', 'b'))
  world.after(220, () => world.breakConnections('a', 'd'))
  world.runFor(500)
  return lines.join('\n')
}

t.test('the same seed is the same history, another seed another', async t => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 20; seed++) {
    const first = history(seed)
    t.ok(first === history(seed), `seed ${seed}`)
    seen.add(first)
  }
  t.equal(seen.size, 20)
})

t.test('a cut holds bytes back until it heals', async t => {
  const world = new SimulatedWorld(3, { shortSendChance: 0 })
  const log: string[] = []
  echoOn(world.loop('a'), 7)
  const connection = dial(world.loop('b'), 'a', log)
  t.ok(world.runUntil(() => log.map(line => line.replace('got ', '')).join('') === 'hello'))
  log.length = 0
  world.cut('b', 'a')
  connection.write(Buffer.from('more'))
  world.runFor(1000)
  t.same(log, [])
  world.heal('a', 'b')
  world.runFor(1000)
  t.equal(log.map(line => line.replace('got ', '')).join(''), 'more')
})

t.test('a cut that lasts breaks connections with bytes on the way, and dials', async t => {
  const world = new SimulatedWorld(4)
  const log: string[] = []
  echoOn(world.loop('a'), 7)
  const connection = dial(world.loop('b'), 'a', log)
  world.runFor(100)
  log.length = 0
  world.cut('a', 'b')
  connection.write(Buffer.from('more'))
  dial(world.loop('b'), 'a', log)
  world.runFor(20_000)
  t.same(log, ['connection timed out', 'connection timed out'])
})

t.test('a crash: nothing of that life is called again, peers hear of it, and the next life can listen', async t => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new SimulatedWorld(seed, { shortSendChance: 0 })
    const log: string[] = []
    const server: string[] = []
    const first = world.loop('a')
    echoOn(first, 7, server)
    first.setTimer(200, () => server.push('timer'))
    dial(world.loop('b'), 'a', log)
    world.runFor(100)
    first.soon(() => server.push('soon'))
    world.crash('a')
    dial(world.loop('b'), 'a', log)
    world.runFor(500)
    t.same(server, [], 'the dead say nothing')
    t.ok(log.includes('connection refused'), 'nobody listens any more')
    t.ok(log.includes('got |') || log.includes('connection reset by the peer'), `the peer heard of it: ${log}`)
    log.length = 0
    echoOn(world.loop('a'), 7)
    dial(world.loop('b'), 'a', log)
    world.runFor(100)
    t.equal(log.map(line => line.replace('got ', '')).join(''), 'hello', 'the next life answers')
  }
})

t.test("a taken port; ports are each host's own", async t => {
  const world = new SimulatedWorld(5)
  const log: string[] = []
  echoOn(world.loop('a'), 7, log)
  echoOn(world.loop('b'), 7, log)
  echoOn(world.loop('a'), 7, log)
  world.runFor(10)
  t.same(log, ['port 7 on 0.0.0.0 is taken'])
})

t.test('127.0.0.1 is the host itself', async t => {
  const world = new SimulatedWorld(6)
  const remotes: string[] = []
  const a = world.loop('a')
  const accept = (connection: Connection) => {
    remotes.push(connection.remote.host)
    return handler({})
  }
  a.listen(
    { host: '127.0.0.1', port: 7 },
    accept,
    () => {},
    () => {},
  )
  dial(a, '127.0.0.1', [])
  dial(world.loop('b'), 'a', [])
  world.runFor(50)
  t.same(remotes.sort(), ['127.0.0.1', 'b'])
})

t.test('time passes only by events; what asks for itself for ever is told', async t => {
  const world = new SimulatedWorld(7)
  t.equal(world.step(), false)
  t.equal(world.now, 0)
  world.runFor(1500)
  t.equal(world.now, 1500)
  t.equal(
    world.runUntil(() => false, 100),
    false,
  )
  const again = () => world.soon(again)
  again()
  t.throws(() => world.runFor(1), /virtual time stands still at 1\d+ ms/)
})
