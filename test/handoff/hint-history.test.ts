/** Random lives of a hint log from seeds; see hint-history.ts. HINT_SEED replays one, HINT_SEEDS asks for more. */
import t from 'tap'
import { HINT_REPLAY, hintHistory } from './hint-history.js'

t.test('whatever a crash cuts off, nothing acknowledged is lost or older', async t => {
  const one = process.env.HINT_SEED
  const first = one ? Number(one) : 1
  const count = one ? 1 : Number(process.env.HINT_SEEDS ?? 40)
  let [crashes, compactions] = [0, 0]
  for (let seed = first; seed < first + count; seed++) {
    const history = hintHistory(seed)
    crashes += history.crashes
    compactions += history.compactions
    if (history.violation) t.fail(`${history.violation}   (${HINT_REPLAY(seed)})`)
  }
  t.ok(
    crashes >= count && (one || compactions > count),
    `${crashes} crashes, ${compactions} compacted segments at the end`,
  )
})
