/**
 * How many texts are hashed for a server. Nearly all programs want floor(perServer / perHash * n * w / T), but they round
 * differently, so that equal servers lose a hash at different numbers of servers; each rounding here is one program's.
 *
 *   n servers, weight w of a total T; perServer: points of an average server; perHash: points that one hash gives
 */
export type HashCount = (weight: number, total: number, servers: number, perServer: number, perHash: number) => number

const f = Math.fround

/** libmemcached, twemproxy: every step in single precision; 39 digests and not 40 with 25, 47, 50 ... equal servers. */
export const singlePrecision: HashCount = (weight, total, servers, perServer, perHash) => {
  const share = f(f(weight) / f(total))
  return Math.floor(f(f(f(share * perServer) / perHash) * servers))
}

/** RJ's libketama: a share in single precision, a product in double, rounded again; 39 digests with 61 and 122. */
export const mixedPrecision: HashCount = (weight, total, servers, perServer, perHash) =>
  Math.floor(f(f(f(weight) / f(total)) * (perServer / perHash) * servers))

/** npm hashring: double precision, left to right; 39 digests with 7, 14, 28, 49 ... */
export const doublePrecision: HashCount = (weight, total, servers, perServer, perHash) =>
  Math.floor((weight / total) * (perServer / perHash) * servers)

/** uhashring, dalli: the division last, so nothing is lost. */
export const exact: HashCount = (weight, total, servers, perServer, perHash) =>
  Math.floor(((perServer / perHash) * servers * weight) / total)

/** Weights do not count. */
export const fixed: HashCount = (_weight, _total, _servers, perServer, perHash) => Math.floor(perServer / perHash)

/** By the weight itself and not by its share: nothing that happens to other servers changes it. At least one. */
export const byOwnWeight: HashCount = (weight, _total, _servers, perServer, perHash) =>
  Math.max(1, Math.round((perServer / perHash) * weight))

/** The same rounded by hand, as perl's and npm's authors wrote it, and without the floor of one. */
export const roundedWeight: HashCount = (weight, _total, _servers, perServer) => Math.floor(perServer * weight + 0.5)
