/** The threads of threads.test.ts and hash-growth.test.ts. `mixed` counts and stores values of which every byte is the same; `moving` counts where it may; `growing` stores more and more. */
import { strict as assert } from 'node:assert'
import { parentPort, workerData } from 'node:worker_threads'
import type { Arena } from '../../lib/engine/contract.js'
import { Engine } from '../../lib/engine/engine.js'
import { Driver, random, START } from './driver.js'

const ROUNDS = 2000
const KEYS = 40

/** At least ROUNDS, and as long as `stop[0]` is 1. */
function mixed(arena: Arena, thread: number, stop: Int32Array): number {
  const engine = new Engine(arena, thread)
  engine.setTime(START)
  const driver = new Driver(engine)
  const next = random(thread + 1)
  let counted = 0
  for (let round = 0; round < ROUNDS || Atomics.load(stop, 0) === 1; round++) {
    const letter = String.fromCharCode(97 + Math.floor(next() * 26))
    const size = Math.floor(10 ** (next() * 5.2))
    const name = `k${Math.floor(next() * KEYS)}`
    let sent = ''
    for (let i = 0; i < 20; i++) sent += `incr counter 1\r\nincr c${Math.floor(next() * 5)} 1 noreply\r\n`
    sent += `set ${name} 0 0 ${size}\r\n${letter.repeat(size)}\r\n`
    for (let i = 0; i < 10; i++) sent += `get k${Math.floor(next() * KEYS)}\r\n`
    sent += `set f${thread}.${round} 0 0 5000\r\n${letter.repeat(5000)}\r\n`
    sent += `delete k${Math.floor(next() * KEYS)}\r\nadd x${name} 0 0 3\r\n${letter.repeat(3)}\r\n`
    sent += `append x${name} 0 0 1\r\n${letter}\r\n`
    const answer = driver.send(sent)
    counted += 20
    for (const match of answer.matchAll(/VALUE (\S+) 0 (\d+)\r\n([a-z]*)\r\n/g)) {
      const [, key, bytes, text] = match
      assert.equal(text!.length, Number(bytes), `${key} is torn`)
      assert.equal(text, text!.charAt(0).repeat(Number(bytes)), `${key} is mixed`)
    }
  }
  return counted
}

/** Adds and increments wherever the engine says that this node is the authority; how often it was, until `stop[0]` is set; `stop[1 + thread]` shows how far it is. */
function moving(arena: Arena, thread: number, stop: Int32Array): number[] {
  const engine = new Engine(arena, thread)
  engine.setTime(START)
  const driver = new Driver(engine, () => 'ELSEWHERE\r\n')
  const next = random(thread + 1)
  const counted = new Array<number>(KEYS).fill(0)
  while (Atomics.load(stop, 0) === 0) {
    const keys = Array.from({ length: 50 }, () => Math.floor(next() * KEYS))
    const answers = driver.send(keys.map(key => `incr k${key} 1\r\nget k${key} k0\r\n`).join('')).split('\r\n')
    let at = 0
    for (const key of keys) {
      const answer = answers[at++]!
      assert.notEqual(answer, 'NOT_FOUND', 'no counter is ever absent')
      if (answer !== 'ELSEWHERE') {
        counted[key]!++
        Atomics.add(stop, 1 + thread, 1)
      }
      while (answers[at] !== 'END' && answers[at] !== 'ELSEWHERE') at++
      at++
    }
  }
  return counted
}

/** Stores key after key, and finds what it stored, until `stop[0]` is set; how many there are, which `stop[1 + thread]` shows meanwhile. */
function growing(arena: Arena, thread: number, stop: Int32Array): number {
  const engine = new Engine(arena, thread)
  engine.setTime(START)
  const driver = new Driver(engine)
  const next = random(thread + 1)
  let stored = 0
  while (Atomics.load(stop, 0) === 0 && stored < 200_000) {
    const keys = Array.from({ length: 20 }, () => `t${thread}.${stored++}`)
    driver.send(keys.map(key => `set ${key} 0 0 1 noreply\r\nx\r\n`).join(''))
    const asked = Array.from({ length: 40 }, () => `t${thread}.${Math.floor(next() * stored)}`)
    const answer = driver.send(`get ${asked.join(' ')}\r\n`)
    assert.equal(answer.match(/VALUE/g)?.length, asked.length, 'a key is not found')
    const gone = `t${thread}.${Math.floor(next() * stored)}`
    assert.equal(driver.send(`delete ${gone}\r\nset ${gone} 0 0 1\r\ny\r\n`), 'DELETED\r\nSTORED\r\n')
    Atomics.store(stop, 1 + thread, stored)
  }
  return stored
}

/** Deletes one key each, with code that ran never before; `stop[1 + thread]` shows that it is about to. */
function deleting(arena: Arena, thread: number, stop: Int32Array): string {
  const engine = new Engine(arena, thread)
  engine.setTime(START)
  const driver = new Driver(engine)
  driver.send('get nothing\r\n')
  Atomics.store(stop, 1 + thread, 1)
  return driver.send(`delete k${thread}\r\n`)
}

const { job, arena, thread, stop } = workerData
const jobs: Record<string, (arena: Arena, thread: number, stop: Int32Array) => unknown> = {
  ...{ mixed, moving, growing, deleting },
}
parentPort!.postMessage(jobs[job]!(arena, thread, new Int32Array(stop)))
