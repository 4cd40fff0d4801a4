// Loaded into every test file (.taprc), so that the programs a test starts are started as a user starts them. tap would load its
// tracing of modules into each of them and into each of their threads, only to know later which test imports which file: a node of one
// worker then costs 1.8 s of processor time to start instead of 0.6, and has the exit hooks of a tool.
import processOnSpawn from 'process-on-spawn'

processOnSpawn.removeAllListeners()
const options = process.env.NODE_OPTIONS?.replace(/"?--import=[^" ]*@tapjs\/processinfo[^" ]*"?/, '').trim()
if (options) process.env.NODE_OPTIONS = options
else delete process.env.NODE_OPTIONS
