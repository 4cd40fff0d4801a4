import { battery } from './battery.js'

battery('coordinator', 200)
battery('both', 100)
