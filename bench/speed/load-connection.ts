/**
 * One connection of the load: sends requests, up to `inFlight` at once, reads replies in order, judges every value. The hot
 * path of the generator: slots in typed arrays, requests and replies in the loop's memory, one recv and one send a turn.
 *
 *   onReadable: recv -> scanReplies -> onValue | onMetaValue | onEnd | onLine -> slot done -> issue as many as were answered
 */
import { performance } from 'node:perf_hooks'
import { BadReply } from '../../lib/protocol/index.js'
import type { Connection, ConnectionHandler } from '../../lib/transport/loop.js'
import { OutputQueue } from '../../lib/transport/output-queue.js'
import { WRONG } from './payload.js'
import { type ReplyEvents, scanReplies } from './reply-scanner.js'
import type { Traffic } from './traffic.js'

const READ = 1
const WRITE = 2
const NONE = new Uint8Array(0)
const LETTER_S = 0x53
const LETTER_H = 0x48
const LETTER_D = 0x44
const LETTER_E = 0x45
const LETTER_N = 0x4e
const CRLF = Buffer.from('\r\n')
const GET = Buffer.from('get')
const SET = Buffer.from('set ')
const SET_ZEROS = Buffer.from(' 0 0 ')
const META_GET = Buffer.from('mg ')
const META_GET_FLAGS = Buffer.from(' v f c\r\n')
const META_SET = Buffer.from('ms ')
const SPACE = 32
const STORED = 'STORED'

export class LoadConnection implements ConnectionHandler, ReplyEvents {
  readonly #traffic: Traffic
  readonly #slots: number
  readonly #multiGet: number
  readonly #requestBytesMax: number
  readonly #kinds: Uint8Array
  readonly #begun: Float64Array
  /** `multiGet` a slot; a write uses the first. Floors hold the version of a write. */
  readonly #keys: Uint32Array
  readonly #floors: Uint32Array
  #head = 0
  #underWay = 0
  /** Keys of the get at the head that are accounted for. */
  #cursor = 0
  #now = 0
  /** Start of a reply whose end has not come. */
  #rest: Uint8Array = NONE
  #restBytes = 0
  readonly #unsent = new OutputQueue()
  #connection: Connection | null = null

  constructor(traffic: Traffic, slots: number, multiGet: number, largestRequest: number) {
    this.#traffic = traffic
    this.#slots = slots
    this.#multiGet = multiGet
    this.#requestBytesMax = largestRequest
    this.#kinds = new Uint8Array(slots)
    this.#begun = new Float64Array(slots)
    this.#keys = new Uint32Array(slots * multiGet)
    this.#floors = new Uint32Array(slots * multiGet)
  }

  get underWay(): number {
    return this.#underWay
  }

  /** Requests that may leave at once. */
  get free(): number {
    if (this.#unsent.bytes > 0) return 0
    return Math.min(this.#traffic.plan.inFlight, this.#slots) - this.#underWay
  }

  onConnect(connection: Connection): void {
    this.#connection = connection
    this.#traffic.onConnected()
  }

  onReadable(connection: Connection): void {
    const traffic = this.#traffic
    const { memory, places } = traffic
    const restBytes = this.#restBytes
    if (restBytes > 0) memory.set(this.#rest.subarray(0, restBytes), places.inputAt)
    const at = places.inputAt + restBytes
    const count = connection.recv(at, places.inputBytes - restBytes)
    if (count === 0) return
    if (count < 0) {
      traffic.fail('the server closed a connection')
      return
    }
    this.#now = performance.now()
    const end = at + count
    let scanned: number
    try {
      scanned = scanReplies(memory, places.inputAt, end, this)
    } catch (error) {
      if (!(error instanceof BadReply)) throw error
      traffic.fail(`the server answered nonsense: ${error.message}`)
      return
    }
    this.#keep(memory, scanned, end)
    this.issueFree(this.#now)
    if (this.#underWay === 0) traffic.onIdle()
  }

  onWritable(connection: Connection): void {
    for (let head = this.#unsent.head; head; head = this.#unsent.head) {
      const sent = connection.write(head)
      this.#unsent.consume(sent)
      if (sent < head.length) return
    }
    this.issueFree(performance.now())
  }

  onClose(_: Connection, reason: string): void {
    this.#traffic.fail(`a connection to the server ended: ${reason}`)
  }

  issueFree(now: number): void {
    const free = this.free
    if (free <= 0) return
    const count = this.#traffic.pace.allowance(free)
    if (count > 0) this.#issue(count, now)
  }

  /** Writes that many requests into the output and sends them, in one go if they fit. */
  #issue(count: number, now: number): void {
    const traffic = this.#traffic
    const { places, plan, pace } = traffic
    const outputEnd = places.outputAt + places.outputBytes
    let at = places.outputAt
    for (let i = 0; i < count; i++) {
      if (at + this.#requestBytesMax > outputEnd) {
        this.#send(places.outputAt, at - places.outputAt)
        at = places.outputAt
      }
      const begun = pace.begin(now)
      const isRead = plan.readUnder > 0 && traffic.random.next() < plan.readUnder
      at = isRead ? this.#writeGet(at, begun) : this.#writeSet(at, begun)
    }
    this.#send(places.outputAt, at - places.outputAt)
  }

  #send(at: number, length: number): void {
    if (length === 0 || !this.#connection) return
    const sent = this.#unsent.bytes > 0 ? 0 : this.#connection.send(at, length)
    if (sent < length) this.#unsent.push(this.#traffic.memory.subarray(at + sent, at + length))
  }

  #open(kind: number, begun: number): number {
    let slot = this.#head + this.#underWay
    if (slot >= this.#slots) slot -= this.#slots
    this.#underWay++
    this.#kinds[slot] = kind
    this.#begun[slot] = begun
    return slot
  }

  #writeGet(start: number, begun: number): number {
    const { picker, keys, payload, plan, memory } = this.#traffic
    const slot = this.#open(READ, begun)
    const first = slot * this.#multiGet
    if (plan.isMeta) {
      const key = picker.next()
      this.#keys[first] = key
      this.#floors[first] = keys.floorOf(key)
      return put(memory, payload.writeKey(put(memory, start, META_GET), key), META_GET_FLAGS)
    }
    let at = put(memory, start, GET)
    for (let i = 0; i < this.#multiGet; i++) {
      const key = picker.next()
      this.#keys[first + i] = key
      this.#floors[first + i] = keys.floorOf(key)
      memory[at] = SPACE
      at = payload.writeKey(at + 1, key)
    }
    return put(memory, at, CRLF)
  }

  #writeSet(start: number, begun: number): number {
    const { picker, keys, payload, plan, memory } = this.#traffic
    const key = keys.writableNear(picker.next())
    if (key < 0) {
      this.#traffic.fail('no key is left that could be written: too many writes failed')
      return start
    }
    const version = keys.issue(key)
    const slot = this.#open(WRITE, begun)
    this.#keys[slot * this.#multiGet] = key
    this.#floors[slot * this.#multiGet] = version
    let at = payload.writeKey(put(memory, start, plan.isMeta ? META_SET : SET), key)
    if (plan.isMeta) memory[at++] = SPACE
    else at = put(memory, at, SET_ZEROS)
    at = put(memory, putNumber(memory, at, payload.sizeOf(key, version)), CRLF)
    return put(memory, payload.writeValue(at, key, version), CRLF)
  }

  // --- replies, in order: the slot at the head

  onValue(keyAt: number, keyLength: number, valueAt: number, length: number): void {
    const { payload, tally, plan } = this.#traffic
    this.#expect(READ, 'a value')
    const first = this.#head * this.#multiGet
    if (plan.isMeta) throw new BadReply('a classic value answers a meta request')
    while (this.#cursor < this.#multiGet) {
      const at = first + this.#cursor++
      const key = this.#keys[at]!
      if (payload.isKey(keyAt, keyLength, key)) {
        this.#judge(key, this.#floors[at]!, valueAt, length)
        return
      }
      tally.counts.misses++
    }
    tally.counts.wrong++
    tally.example(`a value of the key ${this.#text(keyAt, keyLength)}, which was not asked for there`)
  }

  onMetaValue(valueAt: number, length: number): void {
    this.#expect(READ, 'a meta value')
    const first = this.#head * this.#multiGet
    this.#judge(this.#keys[first]!, this.#floors[first]!, valueAt, length)
    this.#done(READ)
  }

  onEnd(): void {
    this.#expect(READ, 'END')
    this.#traffic.tally.counts.misses += this.#multiGet - this.#cursor
    this.#done(READ)
  }

  onLine(at: number, length: number): void {
    const { memory, tally, keys } = this.#traffic
    if (this.#underWay === 0) throw new BadReply(`${this.#text(at, length)} answers nothing`)
    const kind = this.#kinds[this.#head]!
    const first = memory[at]
    if (
      kind === WRITE &&
      (first === LETTER_S ? this.#isStored(at, length) : isWord(memory, at, length, LETTER_H, LETTER_D))
    ) {
      const place = this.#head * this.#multiGet
      keys.acknowledge(this.#keys[place]!, this.#floors[place]!)
    } else if (kind === READ && isWord(memory, at, length, LETTER_E, LETTER_N)) {
      tally.counts.misses++
    } else {
      tally.counts.errors++
      tally.example(`the answer ${this.#text(at, length)}`)
    }
    this.#done(kind)
  }

  #isStored(at: number, length: number): boolean {
    const { memory } = this.#traffic
    if (length !== STORED.length) return false
    for (let i = 0; i < length; i++) if (memory[at + i] !== STORED.charCodeAt(i)) return false
    return true
  }

  #judge(key: number, floor: number, valueAt: number, length: number): void {
    const { payload, keys, tally } = this.#traffic
    const version = payload.versionOf(valueAt, length, key)
    tally.counts.hits++
    const judgement = version === WRONG ? 'wrong' : keys.judge(key, version, floor)
    if (judgement === 'right') return
    tally.counts[judgement]++
    const shown = this.#text(valueAt, Math.min(length, 40))
    tally.example(`a ${judgement} value of key ${key} (at least version ${floor} was due): ${length} bytes, ${shown}`)
  }

  #expect(kind: number, what: string): void {
    if (this.#underWay > 0 && this.#kinds[this.#head] === kind) return
    throw new BadReply(`${what} answers ${this.#underWay > 0 ? 'a write' : 'nothing'}`)
  }

  #done(kind: number): void {
    const { counts } = this.#traffic.tally
    counts.requests++
    if (kind === READ) counts.reads++
    else counts.writes++
    this.#traffic.tally.latency(this.#now - this.#begun[this.#head]!)
    this.#head = this.#head + 1 === this.#slots ? 0 : this.#head + 1
    this.#underWay--
    this.#cursor = 0
  }

  /** What is left of a reply waits here; the input belongs to whoever reads next. */
  #keep(memory: Uint8Array, from: number, to: number): void {
    const length = to - from
    this.#restBytes = length
    if (length === 0) return
    if (this.#rest.length < length) this.#rest = new Uint8Array(2 * length)
    this.#rest.set(memory.subarray(from, to))
  }

  #text(at: number, length: number): string {
    const bytes = this.#traffic.memory.subarray(at, at + Math.min(length, 200))
    return JSON.stringify(Buffer.from(bytes).toString('latin1'))
  }
}

function put(memory: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) memory[at + i] = bytes[i]!
  return at + bytes.length
}

function putNumber(memory: Uint8Array, at: number, number: number): number {
  let digits = 1
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) digits++
  let rest = number
  for (let i = digits - 1; i >= 0; i--) {
    memory[at + i] = 48 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
  return at + digits
}

/** Is the line this word, alone or with flags after it? */
function isWord(memory: Uint8Array, at: number, length: number, first: number, second: number): boolean {
  return length >= 2 && memory[at] === first && memory[at + 1] === second && (length === 2 || memory[at + 2] === SPACE)
}
