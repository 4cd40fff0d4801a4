import { battery } from './battery.js'

battery('restarts', 300)
