/** An experiment that is told to end leaves no process and no folder. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { CONTINUUM, start } from '../interop/processes.js'

/** Command lines of the processes that name the folder. */
function processesOf(folder: string): string[] {
  const ids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return ids.flatMap(id => {
    try {
      const words = readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return words.includes(folder) ? [words] : []
    } catch {
      return [] // it has just ended
    }
  })
}

t.test('ended by SIGTERM in the middle', { skip: process.platform !== 'linux' && 'it looks into /proc' }, async t => {
  const folder = t.testdir({})
  const args = [
    CONTINUUM,
    'bench',
    'scale-out',
    '--keys',
    '1000',
    '--no-peer',
    '--threads',
    '1',
    '--out',
    `${folder}-out`,
  ]
  const experiment = start('env', [`TMPDIR=${folder}`, process.execPath, ...args])
  await experiment.until(/writing 1000 keys/)
  t.equal(readdirSync(folder).length, 1, 'it has a folder')
  t.ok(processesOf(folder).length >= 4, 'and nodes, whose data is in it')
  t.equal(await experiment.stop('SIGTERM'), 143, 'as a process that the signal ended')
  t.same(readdirSync(folder), [])
  while (processesOf(folder).length > 0) await new Promise(resolve => setTimeout(resolve, 10))
  t.same(processesOf(folder), [])
})
