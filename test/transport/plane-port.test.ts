/** Two ends of a SharedPort in one thread: order whatever way messages take, and one waking for many. */
import { MessageChannel } from 'node:worker_threads'
import t from 'tap'
import { createWay, SharedPort, type ShortForm } from '../../lib/transport/plane-port.js'
import { ENTRY_BYTES_MAX } from '../../lib/transport/shared-ring.js'
import { mulberry } from '../simulation/random.js'

interface Said {
  number: number
  isLong: boolean
  bytes: number
}

/** Padded, so that the ring fills up. */
const form: ShortForm<Said> = {
  write({ number, isLong, bytes }, target) {
    if (isLong) return 0
    new DataView(target.buffer, target.byteOffset).setUint32(0, number)
    return bytes
  },
  read: bytes => ({
    number: new DataView(bytes.buffer, bytes.byteOffset).getUint32(0),
    isLong: false,
    bytes: bytes.length,
  }),
}

function ends(wake: () => void, wakeBack: () => void = () => {}) {
  const { port1, port2 } = new MessageChannel()
  const [there, back] = [createWay(), createWay()]
  const forms = { outForm: form, inForm: form }
  const near = new SharedPort<Said, Said>({ port: port1, out: there, in: back, ...forms, wake })
  const far = new SharedPort<Said, Said>({ port: port2, out: back, in: there, ...forms, wake: wakeBack })
  return { near, far, close: () => port1.close() }
}

t.test('messages arrive in order, short and long ones, also when there are more than the ring holds', async t => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = mulberry(seed)
    let wakes = 0
    const { near, far, close } = ends(() => wakes++)
    const heard: number[] = []
    far.onMessage = ({ number }) => {
      heard.push(number)
    }
    let sent = 0
    for (let round = 0; round < 100; round++) {
      const burst = random() < 0.1 ? 300 : Math.floor(random() * 20)
      for (let i = 0; i < burst; i++) {
        near.post({ number: sent++, isLong: random() < 0.1, bytes: 4 + Math.floor(random() * (ENTRY_BYTES_MAX - 4)) })
      }
      if (random() < 0.8) far.take()
    }
    far.take()
    t.equal(heard.length, sent, `seed ${seed}: all of them`)
    t.ok(
      heard.every((number, i) => number === i),
      `seed ${seed}: in order`,
    )
    t.ok(wakes <= 101, `seed ${seed}: ${wakes} wakings for ${sent} messages`)
    close()
  }
})

t.test('what is posted while messages are handed out is not lost, nor is its waking', async t => {
  let due = false
  const { near, far, close } = ends(() => {
    due = true
  })
  const heard: number[] = []
  far.onMessage = ({ number }) => {
    heard.push(number)
    if (number % 3 === 0) near.post({ number: number + 1, isLong: number % 2 === 0, bytes: 4 })
    else if (number < 300) near.post({ number: number + 1, isLong: false, bytes: 4 })
  }
  near.post({ number: 0, isLong: false, bytes: 4 })
  while (due) {
    due = false
    far.take()
  }
  t.same(
    heard,
    Array.from({ length: heard.length }, (_, i) => i),
  )
  t.ok(heard.length > 300)
  close()
})

t.test('who has looked is woken again, whatever way the next message takes', async t => {
  let wakes = 0
  const { near, far, close } = ends(() => wakes++)
  for (let number = 0; number < 10; number++) {
    near.post({ number, isLong: number % 3 === 0, bytes: 4 })
    t.equal(wakes, number + 1)
    near.post({ number, isLong: false, bytes: 4 })
    t.equal(wakes, number + 1, 'once')
    far.take()
  }
  close()
})
