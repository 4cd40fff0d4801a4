/** What a node says of itself. */
import t from 'tap'
import { VERSION_TEXT } from '../../lib/server/node.js'

t.test('the version is three numbers: npm memcached threw a TypeError at "1.6.45-continuum"', async t => {
  t.match(VERSION_TEXT, /^\d+\.\d+\.\d+$/)
})
