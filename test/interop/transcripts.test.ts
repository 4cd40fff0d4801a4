/** Plays test/transcripts to a node alone, a router, a tier in the middle of a migration, and memcached. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { LOOPS } from '../transport/place.js'
import { continuum, freePort, has, start } from './processes.js'
import { TextClient, TierProcesses } from './tier-processes.js'

const FOLDER = fileURLToPath(new URL('../../../test/transcripts/', import.meta.url))

interface Step {
  sent: string
  expected: string
  line: number
}

interface Transcript {
  name: string
  forEveryMemcached: boolean
  steps: Step[]
}

function load(name: string): Transcript {
  const lines = readFileSync(FOLDER + name, 'utf8')
    .trimEnd()
    .split('\n')
  const steps: Step[] = []
  let step: Step | null = null
  for (const [index, line] of lines.entries()) {
    const text = `${line.slice(2)}\r\n`.replace(/\{(.)\*(\d+)\}/g, (_, letter: string, count) =>
      letter.repeat(Number(count)),
    )
    if (line.startsWith('>')) {
      if (step?.expected !== '') {
        step = { sent: '', expected: '', line: index + 1 }
        steps.push(step)
      }
      step.sent += text
    } else if (line.startsWith('<') && step) step.expected += text
    else if (!line.startsWith('#')) throw new Error(`${name}, line ${index + 1}: ${line}`)
  }
  return { name, forEveryMemcached: lines[0] === '# any', steps }
}

const transcripts = readdirSync(FOLDER)
  .filter(name => name.endsWith('.txt'))
  .map(load)

const escaped = (text: string) => text.replace(/[.*+?^$()|[\]\\]/g, '\\$&')

async function play(t: Test, port: number, which = transcripts): Promise<void> {
  for (const { name, steps } of which) {
    const client = new TextClient(port)
    await client.all('flush_all\r\n')
    const numbers = new Map<string, string>()
    const known = (text: string) => text.replace(/\{(\w+)\}/g, (whole, key: string) => numbers.get(key) ?? whole)
    let wrong = 0
    for (const { sent, expected, line } of steps) {
      const fixed = known(expected)
      const names = [...fixed.matchAll(/\{(\w+)\}/g)].map(match => match[1]!)
      const pattern =
        names.length === 0 && !fixed.includes('~}')
          ? null
          : new RegExp(
              `^${escaped(fixed)
                .replace(/\{(\d+)~\}/g, (_, left) => `(?:${left}|${left - 1}|${left - 2})`)
                .replace(/\{(\w+)\}/, '(\\d+)')
                .replace(/\{(\w+)\}/g, '\\d+')}$`,
            )
      const answer = await client.all(known(sent))
      const match = pattern?.exec(answer)
      if (match && names[0]) numbers.set(names[0], match[1]!)
      if (match || answer === fixed) continue
      wrong++
      t.equal(answer.slice(0, 300), fixed.slice(0, 300), `${name}, line ${line}`)
    }
    if (wrong === 0) t.pass(`${name}: ${steps.length} exchanges`)
    client.close()
  }
}

for (const loop of LOOPS) {
  t.test(`a node alone, loop ${loop}`, async t => {
    const node = continuum('server', '-p', '0', '-t', '2', '--loop', loop, '--json-ready')
    t.teardown(() => node.stop())
    const [line] = await node.until(/^\{.*\}$/m)
    await play(t, Number((JSON.parse(line) as { clientPort: number }).clientPort))
  })
}

t.test('a router, and every node of a tier that stays in the middle of a migration', async t => {
  const tier = new TierProcesses()
  t.teardown(() => tier.stop())
  await tier.coordinator()
  await Promise.all([tier.node('a'), tier.node('b'), tier.node('router', '--weight', '0')])
  await tier.until(view => view.settled && view.nodes.length === 3 && view.nodes.every(node => node.state === 'up'))
  await play(t, tier.ports.get('router')!)
  const client = new TextClient(tier.ports.get('router')!)
  const ballast = Array.from({ length: 3000 }, (_, i) => `set ballast-${i} 0 0 1000 noreply\r\n${'x'.repeat(1000)}\r\n`)
  await client.all(ballast.join(''))
  client.close()
  await tier.node('c', '--migration-rate', '0.01')
  await tier.until(view => !view.settled)
  for (const id of ['router', 'a', 'c']) {
    await t.test(`through ${id}`, async t => {
      await play(t, tier.ports.get(id)!)
    })
  }
})

t.test('memcached', { skip: has('memcached') ? false : 'memcached is not installed' }, async t => {
  const port = await freePort()
  const memcached = start('memcached', ['-p', String(port), '-l', '127.0.0.1', '-u', 'nobody', '-vv'])
  t.teardown(() => memcached.stop())
  await memcached.until(/server listening/)
  const which = transcripts.filter(({ forEveryMemcached }) => forEveryMemcached)
  await play(t, port, which)
})
