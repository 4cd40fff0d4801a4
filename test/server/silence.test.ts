/** What a data plane says while its node has no lease: refused, and where the node steps aside, kept until others act. */
import t from 'tap'
import { Fence } from '../../lib/server/fence.js'
import type { Request } from '../../lib/server/request.js'
import { Silence } from '../../lib/server/silence.js'
import type { Loop } from '../../lib/transport/loop.js'

function plane() {
  const fence = new Fence()
  const time = { now: 10_000 }
  const silence = new Silence({ loop: { clock: () => time.now } as Loop, words: fence.words })
  const said: string[] = []
  const ask = (bytes: string, owner: number | null = null) => {
    const answer = (reply: Uint8Array) => void said.push(Buffer.from(reply).toString().trim())
    const request = { bytes: Buffer.from(bytes), hops: 0, dropped: false, cancel: null, answer } as unknown as Request
    return silence.refuses(request, {
      owner: () => owner,
      forward: to => said.push(`forwarded to ${to}`),
      park: key => said.push(`parked ${Buffer.from(key)}`),
      multi: (one, local) => local(one),
    })
  }
  return { fence, time, silence, said, ask }
}

t.test('without a lease what needs it is refused', async t => {
  const { fence, time, silence, said, ask } = plane()
  fence.set(time.now + 20)
  t.notOk(silence.isSilent, 'to its end')
  time.now += 30
  t.notOk(silence.mayReply())
  silence.tell('there is no lease')
  t.ok(silence.isSilent)
  ask('get k\r\n')
  ask('get k\r\n', 7)
  t.notOk(ask('version\r\n'))
  t.same(said, ['SERVER_ERROR there is no lease', 'forwarded to 7'])
})

t.test('a node that steps aside falls silent before its lease ends, and keeps what it would refuse', async t => {
  const { fence, time, silence, said, ask } = plane()
  fence.set(time.now + 200)
  silence.leaves(true)
  t.notOk(silence.isSilent)
  time.now += 160
  t.ok(silence.isSilent)
  t.ok(silence.mayReply(), 'what was begun before is answered')
  ask('get k\r\n')
  ask('set k 0 0 1\r\nx\r\n')
  ask('get k\r\n', 7)
  ask('flush_all\r\n')
  t.match(said, ['parked k', 'parked k', 'forwarded to 7', /^SERVER_ERROR/])
  silence.leaves(false)
  t.notOk(silence.isSilent, 'it goes on, or others act by now')
})
