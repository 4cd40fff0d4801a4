/**
 * Thousands of random commands to a real memcached (Debian's 1.6.18) and to us: the engine in process, and a server over TCP
 * with either loop. They go out in batches, each side's cut at random places of its own, and not one byte of the replies may
 * differ, but for numbers after `gets`, which are masked: what counts is whether they change, and `cas` uses what each side said.
 *
 *   COMMANDS=200000 SEED=7 node dist/test/engine/differential.test.js        as long as wanted; replays a seed
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { LOOPS } from '../transport/place.js'
import { alone, random } from './driver.js'
import { lastCas, makeCommand, masked, type Random } from './random-commands.js'

const COMMANDS = Number(process.env.COMMANDS ?? 6000)
const SEED = Number(process.env.SEED ?? 5)
const BATCH_MAX = 20
const END = 'mg the-end Oend\r\n'
const ENDED = 'EN Oend\r\n'
const SERVER = fileURLToPath(new URL('../../bin/continuum.js', import.meta.url))

/** Somebody who takes bytes and gives replies. */
interface Side {
  /** Sends the pieces, the last of which asks for a miss; the replies before its. */
  ask(pieces: string[]): Promise<string>
}

function installed(): boolean {
  try {
    execFileSync('memcached', ['-V'])
    return true
  } catch {
    return false
  }
}

/** The port is in the file that the server writes once it listens. */
async function start(t: Test, command: string, args: string[]): Promise<Side> {
  const directory = mkdtempSync(join(tmpdir(), 'continuum-differential-'))
  const file = join(directory, 'port')
  const env = { ...process.env, MEMCACHED_PORT_FILENAME: file }
  const child: ChildProcess = spawn(command, [...args, '-l', '127.0.0.1', '-p', '-1'], { env, stdio: 'ignore' })
  while (!existsSync(file)) await new Promise(resolve => setTimeout(resolve, 10))
  const port = Number(/TCP INET: (\d+)/.exec(readFileSync(file, 'latin1'))![1])
  const socket = createConnection(port, '127.0.0.1')
  socket.setNoDelay(true)
  await new Promise(resolve => socket.once('connect', resolve))
  t.teardown(async () => {
    socket.destroy()
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('close', resolve))
    rmSync(directory, { recursive: true })
  })
  return { ask: pieces => askOver(socket, pieces) }
}

async function askOver(socket: Socket, pieces: string[]): Promise<string> {
  const whole = new Promise<string>((resolve, reject) => {
    let got = ''
    const hear = (bytes: Buffer) => {
      got += bytes.toString('latin1')
      if (!got.endsWith(ENDED)) return
      socket.off('data', hear)
      socket.off('close', gone)
      resolve(got.slice(0, -ENDED.length))
    }
    const gone = () => reject(new Error(`the connection was closed after ${JSON.stringify(got.slice(-300))}`))
    socket.on('data', hear)
    socket.on('close', gone)
  })
  for (const piece of pieces) {
    socket.write(piece, 'latin1')
    // Now and then the other side sees what came so far.
    if (pieces.length > 1) await new Promise(resolve => setImmediate(resolve))
  }
  return whole
}

/** Most batches in a few pieces, some whole, some in crumbs. */
function cut(next: Random, text: string): string[] {
  const cuts = next() < 0.3 ? 0 : Math.floor(10 ** (next() * 1.5))
  const places = Array.from({ length: cuts }, () => Math.floor(next() * text.length)).sort((a, b) => a - b)
  return [0, ...places].map((place, i) => text.slice(place, places[i])).filter(piece => piece !== '')
}

/**
 * Commands that go out at once. Two kinds only as the first of their batch, as 1.6.18 lets commands that it has not sent the replies
 * of yet change what it does: a get of a key that is too long throws those replies away, and a number is written to an
 * item of its own, not in its place, while one of them holds the item.
 */
function* makeBatches(next: Random): Generator<((cas: string) => string)[]> {
  let batch: ((cas: string) => string)[] = []
  for (let left = 0; ; left--) {
    const command = makeCommand(next)
    if (batch.length > 0 && (left <= 0 || /^gets? .*k{251}|^(incr|decr|ma) /.test(command('1')))) {
      yield batch
      batch = []
      left = 1 + Math.floor(next() * BATCH_MAX)
    }
    batch.push(command)
  }
}

async function compare(t: Test, theirs: Side, ours: Side, seed: number): Promise<void> {
  const next = random(seed)
  const cuts = random(seed + 1_000_000)
  const before: string[] = []
  let theirCas = '1'
  let ourCas = '1'
  let done = 0
  for (const batch of makeBatches(next)) {
    if (done >= COMMANDS) break
    const text = (cas: string) => batch.map(command => command(cas)).join('') + END
    const theirReplies = await theirs.ask(cut(cuts, text(theirCas)))
    const ourReplies = await ours.ask(cut(cuts, text(ourCas)))
    before.push(text(theirCas))
    if (masked(ourReplies) !== masked(theirReplies)) {
      t.equal(masked(ourReplies), masked(theirReplies), `SEED=${seed}, behind ${done} commands`)
      t.comment(
        `sent:\n${before
          .slice(-3)
          .map(one => JSON.stringify(one.slice(0, 3000)))
          .join('\n')}`,
      )
      return
    }
    done += batch.length
    if (next() < 0.3) continue
    theirCas = lastCas(theirReplies, theirCas)
    ourCas = lastCas(ourReplies, ourCas)
  }
  t.pass(`${COMMANDS} commands`)
}

t.setTimeout(30_000 + COMMANDS * 10)

const skip = installed() ? false : 'memcached is not installed'
// Its background threads hold items for a moment, and then it does not write numbers in place.
const QUIET = ['-U', '0', '-u', 'root', '-t', '1', '-o', 'no_lru_maintainer,no_lru_crawler']

t.test('the engine in process', { skip }, async t => {
  const memcached = await start(t, 'memcached', QUIET)
  const driver = alone({ memoryLimitMb: 64 })
  const engine: Side = {
    ask: async pieces => {
      driver.engine.setTime(Date.now() / 1000)
      return pieces
        .map(piece => driver.send(piece))
        .join('')
        .slice(0, -ENDED.length)
    },
  }
  await compare(t, memcached, engine, SEED)
})

for (const loop of LOOPS) {
  t.test(`a server over TCP, loop ${loop}`, { skip }, async t => {
    const memcached = await start(t, 'memcached', QUIET)
    const server = await start(t, process.execPath, [SERVER, 'server', '-t', '2', '--loop', loop])
    await compare(t, memcached, server, SEED + 100 * (1 + LOOPS.indexOf(loop)))
  })
}
