/** The commands of operators, at a process with two threads on either loop: watch, stats conns and detail, shutdown, verbosity. */
import t, { type Test } from 'tap'
import { LOOPS } from '../transport/place.js'
import { run, shortFolder, start } from './process.js'
import { dial, type RawClient } from './raw-client.js'

const HOST = '127.0.0.1'

async function serve(t: Test, ...flags: string[]) {
  const running = await start(t, 'server', '-m', '16', '-p', '-1', '-t', '2', ...flags)
  const to = { host: HOST, port: Number(running.ready.clientPort) }
  return { ...running, to, client: () => dial(t, to) }
}

/** Lines with what differs from run to run taken out. */
const masked = (text: string) =>
  text
    .replace(/ts=\d+\.\d+/g, 'ts')
    .replace(/gid=\d+/g, 'gid')
    .replace(/cfd=\d+/g, 'cfd')
    .replace(/rport=\d+/g, 'rport')

async function watch(client: RawClient, ...streams: string[]): Promise<void> {
  const answer = await client.ask(`watch ${streams.join(' ')}\r\n`)
  if (answer !== 'OK\r\n') throw new Error(answer)
}

const figure = async (client: RawClient, name: string) =>
  new RegExp(`STAT ${name} (\\S+)`).exec(await client.ask('stats\r\n', 'END\r\n'))?.[1]

for (const loop of LOOPS) {
  t.test(`watch, ${loop}`, async t => {
    const { client } = await serve(t, '--loop', loop, '-o', 'watcher_logbuf_size=8')
    const [watcher, user] = [client(), client()]
    t.equal(
      await watcher.ask('mn\r\nwatch fetchers\r\n', 'watch\r\n'),
      'MN\r\nERROR cannot pipeline other commands before watch\r\n',
    )
    t.equal(await watcher.ask('watch fetchers nonsense\r\n'), 'ERROR\r\n')
    await watch(watcher, 'fetchers', 'mutations', 'deletions')
    await user.ask('set a 0 0 1\r\n1\r\ndelete a\r\n', 'DELETED\r\n')
    const lines = await watcher.until(() => watcher.text.includes('type=deleted'))
    t.equal(
      masked(lines),
      [
        'ts gid type=item_get key=a status=not_found clsid=0 cfd size=0\n',
        'ts gid type=item_store key=a status=stored cmd=set ttl=0 clsid=1 cfd size=1\n',
        'ts gid type=item_get key=a status=found clsid=1 cfd size=1\n',
        'ts gid type=deleted key=a cmd=delete clsid=1 size=1\n',
      ].join(''),
    )
    t.equal(await figure(user, 'log_watchers'), '1')
    const events = client()
    await watch(events, 'connevents')
    const guests = [client(), client()]
    for (const guest of guests) await guest.ask('mn\r\n')
    guests[0]!.send('quit\r\n')
    await guests[0]!.rest()
    guests[1]!.send('GET / HTTP/1.1\r\n')
    await guests[1]!.rest()
    const told = masked(await events.until(() => (events.text.match(/conn_close/g) ?? []).length === 2))
    const news = /type=conn_new rip=127\.0\.0\.1 rport transport=tcp cfd/g
    t.equal(told.match(news)?.length, 2)
    for (const reason of ['normal', 'error']) t.match(told, `transport=tcp reason=${reason} cfd`)
    t.equal(await figure(user, 'log_watchers'), '2')

    // A watcher that does not read: what does not fit is skipped, later it is told how many.
    watcher.socket.pause()
    const long = 'x'.repeat(200)
    let skipped = 0
    for (let i = 0; skipped === 0; i += 1000) {
      const keys = Array.from({ length: 1000 }, (_, j) => `get ${i + j}${long}\r\n`).join('')
      const before = user.text.length
      user.send(keys)
      await user.until(() => user.text.length >= before + 5000)
      skipped = Number(await figure(user, 'log_watcher_skipped'))
    }
    watcher.socket.resume()
    const goOn = setInterval(() => user.send('get more\r\n'), 10)
    t.teardown(() => clearInterval(goOn))
    const rest = await watcher.until(() => /skipped=\d+\nts=/.test(watcher.text))
    clearInterval(goOn)
    t.match(rest, /skipped=[1-9]/)
    for (const line of rest.split('\n').slice(1, -1))
      t.match(line, /^(skipped=\d+$|ts=\d+\.\d+ gid=\d+ type=)/, { skip: false })
  })

  t.test(`stats conns, ${loop}`, async t => {
    const folder = shortFolder(t)
    const { client, to } = await serve(t, '--loop', loop, '-s', `${folder}/s`, '-U', '-1')
    const clients = [client(), client(), client()]
    for (const one of clients.slice(0, 2)) await one.ask('mn\r\n')
    clients[1]!.send('set half 0 0 5\r\nab')
    const unix = dial(t, { path: `${folder}/s` })
    await unix.ask('mn\r\n')
    const watcher = client()
    await watch(watcher)
    const asker = clients[2]!
    // Until the half request has been read.
    let text = ''
    while (!text.includes('conn_nread')) text = await asker.ask('stats conns\r\n', 'END\r\n')
    const lines = text.split('\r\n').slice(0, -2)
    for (const line of lines) t.match(line, /^STAT \d+:(addr|listen_addr|state|secs_since_last_cmd|UDP) \S+$/)
    const count = (pattern: RegExp) => lines.filter(line => pattern.test(line)).length
    t.equal(count(/:addr tcp:127\.0\.0\.1:\d+$/), 5, 'the listener and four connections')
    t.equal(count(new RegExp(`:listen_addr tcp:127\\.0\\.0\\.1:${to.port}$`)), 4)
    t.equal(count(new RegExp(`:addr unix:${folder}/s$`)), 1)
    t.equal(count(new RegExp(`:listen_addr unix:${folder}/s$`)), 1)
    t.equal(count(/:addr udp:127\.0\.0\.1:\d+$/), 1)
    for (const [state, number] of [
      ['listening', 2],
      ['nread', 1],
      ['parse_cmd', 1],
      ['watch', 1],
      ['read', 3],
    ] as const) {
      t.equal(count(new RegExp(`:state conn_${state}$`)), number, state)
    }
    const numbers = lines.filter(line => line.includes(':state')).map(line => Number(/\d+/.exec(line)![0]))
    t.equal(new Set(numbers).size, 8, 'each has its own number')
  })
}

t.test('twenty watchers and no more; -W', async t => {
  const { client } = await serve(t)
  for (let i = 0; i < 20; i++) await watch(client(), 'evictions')
  const late = client()
  t.equal(await late.ask('watch\r\n'), 'WATCHER_TOO_MANY log watcher limit reached\r\n')
  t.equal(await late.ask('mn\r\n'), 'MN\r\n')
  const { client: closed } = await serve(t, '-W')
  t.equal(await closed().ask('watch\r\n'), 'CLIENT_ERROR watch commands not allowed\r\n')
})

t.test('stats detail, with -D and -X', async t => {
  const { client } = await serve(t, '-D', '|')
  const [one, two] = [client(), client()]
  await one.ask('set a|1 0 0 1\r\n1\r\nget a|1 a:1\r\n', 'END\r\n')
  t.equal(await two.ask('stats detail dump\r\n', 'END\r\n'), 'PREFIX a get 1 hit 1 set 1 del 0\r\nEND\r\n')
  t.match(await two.ask('stats settings\r\n', 'END\r\n'), /STAT stat_key_prefix \|\r\nSTAT detail_enabled yes\r\n/)
  t.equal(await two.ask('stats detail off\r\n'), 'OK\r\n')
  t.equal(await two.ask('stats detail\r\n'), 'CLIENT_ERROR usage: stats detail on|off|dump\r\n')
  const { client: closed } = await serve(t, '-X')
  t.equal(await closed().ask('stats detail on\r\n'), 'CLIENT_ERROR stats detail not allowed\r\n')
})

t.test('shutdown, when -A allows it', async t => {
  const { client } = await serve(t)
  t.equal(await client().ask('shutdown\r\n'), 'SERVER_ERROR: shutdown not enabled\r\n')
  for (const line of ['shutdown', 'shutdown graceful']) {
    const { client: other, end } = await serve(t, '-A')
    const killer = other()
    t.equal(await killer.ask('shutdown soon\r\n'), 'CLIENT_ERROR invalid shutdown mode\r\n')
    killer.send(`${line}\r\n`)
    t.equal(await killer.rest(), '')
    t.match(await end, { code: 0, stderr: '' }, line)
  }
})

t.test('verbosity changes the log', async t => {
  const { client, child, end } = await serve(t, '-A')
  const first = client()
  t.equal(await first.ask('verbosity 2\r\n'), 'OK\r\n')
  const second = client()
  await second.ask('mn\r\n')
  t.equal(await first.ask('verbosity 0\r\n'), 'OK\r\n')
  const third = client()
  await third.ask('mn\r\n')
  t.match(await first.ask('stats settings\r\n', 'END\r\n'), /STAT verbosity 0\r\n/)
  child.kill('SIGTERM')
  const { stderr } = await end
  t.equal(stderr.match(/new client connection/g)?.length, 1)
})

t.test('port 0 is no TCP beside a unix socket', async t => {
  const folder = shortFolder(t)
  const { ready } = await start(t, 'server', '-m', '16', '-p', '0', '-s', `${folder}/s`)
  t.match(ready, { clientPort: 0, places: [`${folder}/s`] })
  const wrong = await run('server', '-D', '')
  t.match(wrong, { code: 1, stderr: 'continuum: -D : give one visible character\n' })
})
