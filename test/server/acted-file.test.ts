/** What a node remembers of the outages that it acted in: written over in place, and gone where that fails. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ActedFile } from '../../lib/server/acted-file.js'

const open = (directory: string) => ActedFile.open(directory, sentence => t.fail(sentence))
const noted = (file: ActedFile, epoch: number) => new Promise<void>(resolve => file.note(epoch, resolve))

t.test('written before it is said, read by the next life, never less than before', async t => {
  const directory = t.testdir()
  const first = await open(directory)
  t.equal(first.before, null)
  t.notOk(first.isNoted(7, false), 'a later life should find a file')
  await noted(first, 7)
  t.ok(first.isNoted(7, true))
  t.ok(first.isNoted(9, false), 'nobody is away: nothing has to be remembered')
  t.notOk(first.isNoted(9, true))
  await Promise.all([noted(first, 12), noted(first, 9)])
  const second = await open(directory)
  t.equal(second.before, 12)
  await noted(second, 13)
  t.equal(second.before, 12, 'of the lives before')
  t.equal((await open(directory)).before, 13)
  t.same(readdirSync(directory), ['acted-epoch'])
  t.equal(readFileSync(join(directory, 'acted-epoch')).length, 16, 'it never needs more room')
})

t.test('what is damaged says nothing', async t => {
  for (const text of ['', '12', '             12x\n', '            -12\n', '               1\n2']) {
    t.equal((await open(t.testdir({ 'acted-epoch': text }))).before, null, JSON.stringify(text))
  }
})

t.test('what cannot be written is removed; until it is, nothing is said', async t => {
  const directory = t.testdir({ 'acted-epoch': `${'12'.padStart(15)}\n` })
  const path = join(directory, 'acted-epoch')
  const problems: string[] = []
  const file = await ActedFile.open(directory, sentence => problems.push(sentence))
  rmSync(path)
  mkdirSync(join(path, 'in the way'), { recursive: true })
  let isNoted = false
  file.note(13, () => {
    isNoted = true
  })
  while (problems.length === 0) await new Promise(resolve => setImmediate(resolve))
  t.notOk(isNoted)
  rmSync(path, { recursive: true })
  while (!isNoted) await new Promise(resolve => setTimeout(resolve, 10))
  t.equal((await open(directory)).before, null, 'the file that was to be written over is not there')
})
