/**
 * Entry of a load process: options as JSON in its argument; on stdout one JSON line an event. After filling it waits for a
 * line on stdin, blocking: its loop has nothing to do then, and on epoll Node's own events would not come.
 */
import { readSync, writeSync } from 'node:fs'
import { chooseLoop } from '../../lib/transport/choose.js'
import { createEpollLoop } from '../../lib/transport/epoll.js'
import type { Loop } from '../../lib/transport/loop.js'
import { createNetLoop } from '../../lib/transport/net.js'
import { Generator, type GeneratorOptions, type Measured } from './generator.js'

export type GeneratorLine =
  | { event: 'filled'; loop: string }
  | { event: 'measured'; measured: Measured }
  | { event: 'failed'; sentence: string }

const STDOUT = 1
const STDIN = 0

/** Our own parent wrote it, see generator-process.ts. */
const options = JSON.parse(process.argv[2] ?? '') as GeneratorOptions
const choice = chooseLoop(options.loop)
if (!choice.ok) {
  tell({ event: 'failed', sentence: choice.sentence })
  process.exit(1)
}
let loop: Loop | null = null
const generator = Generator.on(
  options,
  memory => {
    loop =
      choice.kind === 'net' ? createNetLoop({ memory }) : createEpollLoop({ memory, batches: choice.kind === 'uring' })
    return loop
  },
  {
    filled() {
      tell({ event: 'filled', loop: choice.kind })
      if (!awaitLine()) process.exit(1)
    },
    measured(measured) {
      tell({ event: 'measured', measured })
      process.exit(0)
    },
    failed(sentence) {
      tell({ event: 'failed', sentence })
      process.exit(1)
    },
  },
)
generator.start()
runLoop(loop)

function runLoop(started: Loop | null): void {
  started?.run()
}

function tell(line: GeneratorLine): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
  let written = 0
  while (written < bytes.length) written += onceReady(() => writeSync(STDOUT, bytes, written))
}

/** False when the parent is gone. */
function awaitLine(): boolean {
  const byte = Buffer.alloc(64)
  return onceReady(() => readSync(STDIN, byte)) > 0
}

/** A pipe may be non-blocking: then this thread looks again, nothing else is to be done. */
function onceReady(call: () => number): number {
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    try {
      return call()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(nothing, 0, 0, 1)
    }
  }
}
