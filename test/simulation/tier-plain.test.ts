import { battery } from './battery.js'

battery('plain', 400)
