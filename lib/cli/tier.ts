/** `continuum tier status | drain | reweight | step-aside | generations`: looks at a tier, and writes wishes into its document. */
import type { Command } from 'commander'
import { withQuickStepAside } from '../tier/kept-memory.js'
import type { Topology } from '../tier/topology.js'
import { type Outcome, withDrain, withReweight, withStepAside } from '../tier/wishes.js'
import { complain, Sentence, say } from './output.js'
import { createProgress } from './progress.js'
import { readSecret } from './secret.js'
import { StoreClient } from './store-client.js'
import { weightNumber } from './tier-options.js'
import { changeText, generationsText, generationsView, statusText, type TierView } from './tier-view.js'

interface TierValues {
  tier: string
  json?: boolean
  peerSecretFile?: string
  watch?: boolean
  wait?: boolean
  quick?: boolean
}

/** A coordinator that is being restarted is waited for; a running change goes on without us in any case. */
const PATIENCE_MS = 30_000

export function tierCommand(command: Command): void {
  const sub = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .requiredOption('--tier <store url>', 'topology store, embedded://host:port')
      .option('--json', 'for machines')
      .option('--peer-secret-file <file>', 'secret of the tier')
  sub('status', 'nodes, changes, progress')
    .option('--watch', 'go on until no change is left')
    .action((values: TierValues) => withStore(values, store => status(store, values)))
  sub('drain', 'take a node out of the ring; its keys move to the others')
    .argument('<id>')
    .option('--no-wait', 'do not wait until it is done')
    .action((id: string, values: TierValues) =>
      withStore(values, store => wish(store, values, topology => withDrain(topology, id))),
    )
  sub('reweight', "change a node's share of the ring; 0 drains it")
    .argument('<id>')
    .argument('<weight>')
    .option('--no-wait', 'do not wait until it is done')
    .action((id: string, text: string, values: TierValues) => {
      const weight = weightNumber('weight', text)
      return withStore(values, store => wish(store, values, topology => withReweight(topology, id, weight)))
    })
  sub('step-aside', 'hand over everything that a node holds, so that it may be stopped; started again it comes back')
    .argument('<id>')
    .option('--no-wait', 'do not wait until it is done')
    .option('--quick', 'hand over authority alone and leave the memory in its file (-e): faster, with misses meanwhile')
    .action((id: string, values: TierValues) =>
      withStore(values, async store => {
        if (values.quick === true) {
          await quickStepAside(store, values, id)
          return
        }
        await wish(store, values, topology => withStepAside(topology, id))
        if (values.json !== true && values.wait !== false) {
          say(`node ${id} may be stopped now; started again it takes its keys back by itself`)
        }
      }),
    )
  sub('generations', 'the rings that are not retired').action((values: TierValues) =>
    withStore(values, async store => {
      const { topology } = await store.read()
      say(values.json ? JSON.stringify(generationsView(topology)) : generationsText(topology))
    }),
  )
}

async function withStore(values: TierValues, task: (store: StoreClient) => Promise<void>): Promise<void> {
  const store = new StoreClient(values.tier, readSecret(values.peerSecretFile, complain))
  try {
    await task(store)
  } finally {
    store.close()
  }
}

async function status(store: StoreClient, values: TierValues): Promise<void> {
  if (!values.watch) {
    const view = await store.look()
    say(values.json ? JSON.stringify(view) : statusText(view))
    return
  }
  const json = values.json === true
  if (!json) say(statusText(await store.look()))
  const last = await watchUntil(store, json, view => view.changes.every(change => change.state === 'done'))
  if (!json) say(`\n${statusText(last)}`)
}

async function wish(
  store: StoreClient,
  values: TierValues,
  asked: (topology: Topology) => Outcome<{ change: number; givesUp?: boolean }>,
): Promise<void> {
  const { change: id, givesUp = false } = await store.wish(asked)
  const json = values.json === true
  if (givesUp) complain('the node is away and is given up: what only its memory holds is lost')
  const isDone = (view: TierView) => (view.changes.find(change => change.id === id)?.state ?? 'done') === 'done'
  if (values.wait === false) {
    const view = await store.look()
    const change = view.changes.find(one => one.id === id)
    say(json ? JSON.stringify(view) : `change ${id} (${change ? changeText(change) : 'done'}) is asked for`)
    return
  }
  const view = await watchUntil(store, json, isDone)
  const change = view.changes.find(one => one.id === id)
  if (!json)
    say(`change ${id}${change ? ` (${changeText(change)})` : ''} is done: generation ${view.epoch} has settled`)
}

/** Done when others act for the node; it may be called off meanwhile, as when the ring changes. */
async function quickStepAside(store: StoreClient, values: TierValues, id: string): Promise<void> {
  await store.wish(topology => withQuickStepAside(topology, id, Date.now() / 1000))
  const find = (view: TierView) => view.nodes.find(node => node.id === id)
  const isDone = (view: TierView) => find(view)?.away !== undefined || find(view)?.quick !== true
  const view = values.wait === false ? await store.look() : await watchUntil(store, values.json === true, isDone)
  const node = find(view)
  if (node?.quick !== true) throw new Sentence(`node "${id}" goes on: something else changed in the tier meanwhile`)
  if (values.json === true) return
  say(
    node.away
      ? `node ${id} may be stopped now, by SIGTERM or SIGUSR1: it leaves its memory in its file, and takes it back when it is started again`
      : `node ${id} steps aside: tier status says when it may be stopped`,
  )
}

async function watchUntil(store: StoreClient, json: boolean, isDone: (view: TierView) => boolean): Promise<TierView> {
  const progress = createProgress(json)
  try {
    return await store.lookUntil(PATIENCE_MS, isDone, view => progress.show(view))
  } finally {
    progress.end()
  }
}
