/** memcached's words in TypeScript: requests, replies, errors, server lists. Pure: no sockets, no store, no clock. */
export { addressOf, ListError, type ListedServer, parseInline, portOf, weightOf } from './address.js'
export { BadReply } from './bad-reply.js'
export {
  type ClusterConfig,
  configReply,
  parseClusterConfig,
  parseTierConfig,
  type TierConfig,
  tierConfigText,
} from './cluster-config.js'
export * from './replies.js'
export { type Reply, type ReplyLimits, ReplyParser, type Value } from './reply-parser.js'
export { Kind, type ReaderLimits, ReplyReader, WireReply } from './reply-reader.js'
export * from './request.js'
