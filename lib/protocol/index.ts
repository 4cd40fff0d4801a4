/** memcached's words in TypeScript: requests, replies, errors. Pure: no sockets, no store, no clock. */
export * from './replies.js'
export { BadReply, type Reply, type ReplyLimits, ReplyParser, type Value } from './reply-parser.js'
export * from './request.js'
