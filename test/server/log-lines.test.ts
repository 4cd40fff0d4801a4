/** Lines of watchers, byte for byte. */
import t from 'tap'
import type { LogEntry } from '../../lib/engine/log-reader.js'
import { logLine, skippedLine, uri } from '../../lib/server/log-lines.js'

const entry = (more: Partial<LogEntry>): LogEntry => ({
  ...{ type: 'text', stream: 1, number: 7n, seconds: 1_700_000_000, microseconds: 42, status: 0, command: 0 },
  ...{ slabClass: 3, ttl: 0, la: 9, bytes: 5, connection: 26, text: Buffer.from('a b%\xff', 'latin1') },
  ...more,
})

t.test('one line an entry', async t => {
  const lines: [Partial<LogEntry>, string][] = [
    [{ type: 'item_get', status: 2 }, 'type=item_get key=a%20b%25%FF status=flushed clsid=3 cfd=26 size=5'],
    [
      { type: 'item_store', status: 4, command: 5, ttl: 60 },
      'type=item_store key=a%20b%25%FF status=too_large cmd=cas ttl=60 clsid=3 cfd=26 size=5',
    ],
    [{ type: 'eviction', status: 1, ttl: -1 }, 'type=eviction key=a%20b%25%FF fetch=yes ttl=-1 la=9 clsid=3 size=5'],
    [{ type: 'deleted', command: 1 }, 'type=deleted key=a%20b%25%FF cmd=md clsid=3 size=5'],
    [{ text: Buffer.from('type=conn_new') }, 'type=conn_new'],
  ]
  for (const [more, words] of lines) t.equal(logLine(entry(more)), `ts=1700000000.42 gid=7 ${words}\n`)
  t.equal(skippedLine(12), 'skipped=12\n')
  t.equal(uri(Buffer.from('aZ09-._~/:#')), 'aZ09-._~%2F%3A%23')
})
