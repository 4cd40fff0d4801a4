/** Where a transport test happens: the same callbacks on each world, with a server's loop and a client's loop. */
import { SLOTS_BYTES } from '../../lib/transport/batch.js'
import { chooseLoop, type LoopPick } from '../../lib/transport/choose.js'
import { createEpollLoop } from '../../lib/transport/epoll.js'
import type { Loop } from '../../lib/transport/loop.js'
import { createNetLoop } from '../../lib/transport/net.js'
import { SimulatedWorld } from '../../lib/transport/simulated.js'

export interface Place {
  kind: Loop['kind']
  server: Loop
  client: Loop
  /** Where the server listens. */
  host: string
}

/** Ends the scene: null, or what went wrong. */
export type Done = (problem: string | null) => void
export type Scene = (place: Place, done: Done) => void

const MEMORY_BYTES = 1 << 21
/** Behind the rest: what loops with batches receive ahead. */
const AHEAD = { offset: MEMORY_BYTES, length: SLOTS_BYTES }
/** A scene that hangs is told apart from one that fails; no scene waits for it. */
const LIMIT_MS = 20_000

/** Each that this machine lets a process use. */
export const LOOPS: readonly LoopPick[] = (['net', 'epoll', 'uring'] as const).filter(kind => chooseLoop(kind).ok)
export const KINDS: readonly Loop['kind'][] = [...LOOPS, 'simulated']

/** As KINDS; `direct`: net, past Node's streams. */
export type Way = Loop['kind'] | 'direct'
export const WAYS: readonly Way[] = LOOPS.includes('epoll') ? [...KINDS, 'direct'] : KINDS

/** Plays a scene on a world of its kind, and resolves to its problem or null. */
export function play(way: Way, scene: Scene, seed = 1): Promise<string | null> {
  if (way === 'simulated') return Promise.resolve(playSimulated(scene, seed))
  const kind = way === 'direct' ? 'net' : way
  const memory = new Uint8Array(new SharedArrayBuffer(MEMORY_BYTES + AHEAD.length))
  const loop =
    kind === 'net'
      ? createNetLoop({ memory, direct: way === 'direct' })
      : createEpollLoop({ memory, ahead: AHEAD, batches: kind === 'uring' })
  return new Promise(resolve => {
    const place = { kind, server: loop, client: loop, host: '127.0.0.1' }
    const limit = loop.setTimer(LIMIT_MS, () => end('the scene did not end'))
    const end = once(problem => {
      loop.clearTimer(limit)
      loop.stop()
      resolve(problem)
    })
    scene(place, end)
    // Blocks until `stop` on epoll.
    loop.run()
  })
}

function playSimulated(scene: Scene, seed: number): string | null {
  const world = new SimulatedWorld(seed)
  const memory = () => new Uint8Array(MEMORY_BYTES)
  const host = '10.0.0.1'
  let ended = false
  let result: string | null = null
  const end = once(problem => {
    ended = true
    result = problem
  })
  scene({ kind: 'simulated', server: world.loop(host, memory()), client: world.loop('10.0.0.2', memory()), host }, end)
  if (!world.runUntil(() => ended, LIMIT_MS)) return `seed ${seed}: the scene did not end`
  return result === null ? null : `seed ${seed}: ${result}`
}

function once(done: Done): Done {
  let called = false
  return problem => {
    if (called) return
    called = true
    done(problem)
  }
}
