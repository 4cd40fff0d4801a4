/** Messages between planes that have a short form come back as they went; the others have none. */
import t from 'tap'
import type { ToControl, ToData } from '../../lib/server/plane.js'
import { toControlForm, toDataForm } from '../../lib/server/plane-forms.js'
import { ENTRY_BYTES_MAX } from '../../lib/transport/shared-ring.js'

const target = new Uint8Array(ENTRY_BYTES_MAX)
const key = (length: number) => Uint8Array.from({ length }, (_, i) => i & 255)

t.test('what a take needs comes back as it went', async t => {
  const toControl: ToControl[] = [
    { type: 'need', ticket: 1, key: key(1) },
    { type: 'need', ticket: 0xffffffff, key: key(250) },
    { type: 'need', ticket: 0x80000001, key: key(0) },
    { type: 'forget', ticket: 70_000 },
  ]
  for (const message of toControl) {
    const length = toControlForm.write(message, target)
    t.same(toControlForm.read(target.subarray(0, length)), message)
  }
  const granted: ToData = { type: 'granted', ticket: 0xfedcba98 }
  t.same(toDataForm.read(target.subarray(0, toDataForm.write(granted, target))), granted)
})

t.test('a key is the receiver\u2019s own', async t => {
  const length = toControlForm.write({ type: 'need', ticket: 1, key: key(8) }, target)
  const message = toControlForm.read(target.subarray(0, length))
  target.fill(255)
  t.same(message, { type: 'need', ticket: 1, key: key(8) })
})

t.test('nothing else has a short form, nor what would not fit', async t => {
  t.equal(toControlForm.write({ type: 'need', ticket: 2 ** 32, key: key(8) }, target), 0)
  t.equal(toControlForm.write({ type: 'need', ticket: 1, key: key(ENTRY_BYTES_MAX) }, target), 0)
  t.equal(toControlForm.write({ type: 'guard', ticket: 1, key: key(8), until: 5, bytes: key(8) }, target), 0)
  t.equal(toDataForm.write({ type: 'refused', ticket: 1, reason: '' }, target), 0)
  t.equal(toDataForm.write({ type: 'granted', ticket: 2 ** 32 }, target), 0)
})
