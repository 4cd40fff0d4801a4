/** A load process as its parent sees it: started (pinned, if asked), told to go, its measurement awaited; ended with us. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Sentence } from '../../lib/cli/output.js'
import { endsWithUs } from '../processes.js'
import type { GeneratorOptions, Measured } from './generator.js'
import type { GeneratorLine } from './generator-main.js'
import { pinned } from './pinning.js'

const MAIN = fileURLToPath(new URL('./generator-main.js', import.meta.url))

export class GeneratorProcess {
  readonly filled: Promise<string>
  readonly measured: Promise<Measured>
  readonly #child: ChildProcess

  constructor(options: GeneratorOptions, core: number | null) {
    const [command, ...args] = pinned(core, [process.execPath, MAIN, JSON.stringify(options)])
    const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    endsWithUs(child)
    // The child may be gone when it is told to go: its own last line says why.
    child.stdin!.on('error', () => {})
    const filled = settled<string>()
    const measured = settled<Measured>()
    this.filled = filled.promise
    this.measured = measured.promise
    const fail = (sentence: string) => {
      filled.reject(new Sentence(sentence))
      measured.reject(new Sentence(sentence))
    }
    createInterface({ input: child.stdout! }).on('line', text => {
      const line = JSON.parse(text) as GeneratorLine
      if (line.event === 'filled') filled.resolve(line.loop)
      else if (line.event === 'measured') measured.resolve(line.measured)
      else fail(`load: ${line.sentence}`)
    })
    child.on('error', error => fail(`load: ${error.message}`))
    child.on('close', (code, signal) => fail(`load: its process ended early (${signal ?? code})`))
  }

  go(): void {
    this.#child.stdin!.write('go\n')
  }

  /** Not kill(pid): by its own handle, so never another process that got the number. */
  end(): void {
    this.#child.kill('SIGKILL')
  }
}

interface Settled<T> {
  promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

function settled<T>(): Settled<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Somebody may look at the other promise first.
  promise.catch(() => {})
  return { promise, resolve, reject }
}
