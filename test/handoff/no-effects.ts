/** What handoff asks of its node, where a test does not look at it: nothing is sent, nobody is told. */
import type { HandoffEffects } from '../../lib/handoff/handoff.js'

export const NO_EFFECTS: HandoffEffects = {
  send: () => true,
  granted: () => {},
  blind: () => {},
  executed: () => {},
  refused: () => {},
  flushed: () => {},
  published: () => {},
  unpublished: () => {},
  generationSettled: () => {},
  learned: () => {},
  topologyText: () => null,
  flushLater: () => {},
  flushPendingSec: () => 0,
}
