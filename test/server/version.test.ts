/** What a node says of itself. */
import t from 'tap'
import { VERSION_TEXT } from '../../lib/server/version.js'

t.test('the version is three numbers: npm memcached threw a TypeError at "1.6.45-continuum"', async t => {
  t.match(VERSION_TEXT, /^\d+\.\d+\.\d+$/)
})
