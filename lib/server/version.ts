/** What `version`, `stats` and -V say. Clients look for a memcached version in it. */
export const MEMCACHED_VERSION = '1.6.45'

export const VERSION_TEXT = `${MEMCACHED_VERSION}-continuum`
