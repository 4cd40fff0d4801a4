/** Workloads: the named ones are all valid; what is wrong with one is said in a sentence. And processor time as /proc has it. */
import { join } from 'node:path'
import t from 'tap'
import { cpuSeconds, cpuSecondsOf } from '../../bench/speed/cpu.js'
import { checkedWorkload, readWorkload, workloadNames } from '../../bench/speed/workload.js'

t.test('the named workloads', async t => {
  t.same(workloadNames(), [
    'connections-50',
    'connections-500',
    'evicting-sets',
    'large-values',
    'meta',
    'multi-get',
    'pipelined',
  ])
  for (const name of workloadNames()) t.equal(readWorkload(name).name, name)
  t.match(readWorkload('connections-500'), { connections: 500, inFlight: 1, keys: 100_000, valueSize: '100' })
  t.match(readWorkload('meta'), { protocol: 'meta', inFlight: 16, readShare: 0.9 })
  t.match(readWorkload('pipelined', { keys: 5000, readShare: undefined }), { keys: 5000, readShare: 0.9 }, 'flags')
})

t.test('what is wrong is said', async t => {
  const refused = (json: unknown, message: string) => t.throws(() => checkedWorkload('x', json), { message }, message)
  refused([], 'workload "x" must be one JSON object')
  refused({ conections: 5 }, 'workload "x", conections: unrecognized key: "conections"')
  refused({ connections: 0 }, 'workload "x", connections 0: too small: expected number to be >=1')
  refused({ keys: 1.5 }, 'workload "x", keys 1.5: invalid input: expected int, received number')
  refused({ readShare: 2 }, 'workload "x", readShare 2: too big: expected number to be <=1')
  refused(
    { valueSize: 'big' },
    'workload "x", valueSize big: it must be <bytes>, fixed:<bytes> or lognormal:<mean>:<max>',
  )
  refused({ valueSize: '8' }, 'workload "x", valueSize 8: a value needs 24 bytes to tell its key and version')
  refused(
    { keyOrder: 'none' },
    'workload "x", keyOrder none: it must be uniform, sequential or zipf:<exponent of at most 5>',
  )
  refused({ protocol: 'meta', multiGet: 2 }, 'workload "x", multiGet 2: a meta get has one key')
  refused({ keys: 1000, fill: 1001 }, 'workload "x", fill 1001: there are only 1000 keys')
  refused(
    { keys: 99 },
    'workload "x", keys 99: with 50 connections and 1 in flight at least 100, a key is written by one at a time',
  )
  t.throws(() => readWorkload('nothing'), { message: /^workload "nothing": there are connections-50, / })
  t.throws(() => readWorkload('./nothing.json'), { message: 'workload "./nothing.json": there is no such file' })
  const path = join(t.testdir({ 'half.json': '{ "keys": ' }), 'half.json')
  t.throws(() => readWorkload(path), { message: /half\.json" is no JSON: / })
})

t.test('processor time', async t => {
  const fields = Array.from({ length: 50 }, (_, i) => i + 3)
  fields.splice(11, 4, 100, 20, 3, 1)
  t.equal(cpuSecondsOf(`7 (a ) name) S ${fields.slice(1).join(' ')}`), 1.24)
  t.equal(cpuSeconds(2 ** 30), 0, 'no such process')
  if (process.platform === 'linux') t.ok(cpuSeconds(process.pid) > 0)
})
