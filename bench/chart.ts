/** Hit rate over time as one SVG: a line a system, the change of shape as a band. Pure: numbers in, text out. */
import type { HitRate } from './timeline.js'

export interface Series {
  name: string
  color: string
  dashed?: boolean
  points: HitRate[]
}

export interface ChartOptions {
  title: string
  subtitle: string
  /** From second 0 to here the keys moved. */
  bandSeconds: number
  bandLabel: string
  series: Series[]
}

const WIDTH = 900
const HEIGHT = 440
const BOX = { left: 64, top: 84, right: 160, bottom: 52 }
const INK = '#1f2430'
const FAINT = '#6b7280'
const GRID = '#e5e7eb'

export function hitRateChart({ title, subtitle, bandSeconds, bandLabel, series }: ChartOptions): string {
  const points = series.flatMap(one => one.points)
  const first = Math.floor(Math.min(-1, ...points.map(({ at }) => at)))
  const last = Math.ceil(Math.max(bandSeconds + 1, ...points.map(({ at }) => at)))
  const lowest = Math.min(1, ...points.map(({ hits }) => hits))
  const floor = Math.max(0, Math.floor((lowest - 0.05) * 10) / 10)
  const right = WIDTH - BOX.right
  const bottom = HEIGHT - BOX.bottom
  const x = (at: number) => BOX.left + ((at - first) / (last - first)) * (right - BOX.left)
  // Room above 100 %, so that a line that stays there can be seen.
  const y = (rate: number) => bottom - ((rate - floor) / (1.02 - floor)) * (bottom - BOX.top)
  const text = (at: string, words: string, rest = '') => `<text ${at} ${rest}>${escaped(words)}</text>`

  const parts = [
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text('x="24" y="34"', title, `font-size="18" font-weight="600" fill="${INK}"`),
    text('x="24" y="56"', subtitle, `font-size="13" fill="${FAINT}"`),
    `<rect x="${n(x(0))}" y="${BOX.top}" width="${n(Math.max(2, x(bandSeconds) - x(0)))}" height="${bottom - BOX.top}" fill="#eef2ff"/>`,
    text(`x="${n(x(0) + 6)}" y="${BOX.top - 6}"`, bandLabel, 'font-size="12" fill="#4f46e5"'),
  ]
  for (let rate = floor; rate <= 1.0001; rate += floor < 0.5 ? 0.2 : 0.1) {
    const at = n(y(rate))
    parts.push(`<line x1="${BOX.left}" x2="${right}" y1="${at}" y2="${at}" stroke="${GRID}"/>`)
    parts.push(
      text(
        `x="${BOX.left - 10}" y="${at}"`,
        `${Math.round(rate * 100)} %`,
        `dy="4" text-anchor="end" font-size="12" fill="${FAINT}"`,
      ),
    )
  }
  const step = [1, 2, 5, 10, 20, 60, 120, 300].find(seconds => (last - first) / seconds <= 14) ?? 600
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) {
    const label = `text-anchor="middle" font-size="12" fill="${FAINT}"`
    parts.push(text(`x="${n(x(at))}" y="${bottom + 20}"`, `${at} s`, label))
  }
  const axis = 'seconds since the change of shape'
  parts.push(
    text(
      `x="${(BOX.left + right) / 2}" y="${bottom + 40}"`,
      axis,
      `text-anchor="middle" font-size="12" fill="${FAINT}"`,
    ),
  )
  const ends = labelPlaces(series.map(({ points }) => y(points.at(-1)?.hits ?? 0)))
  series.forEach(({ name, color, points, dashed }, i) => {
    const path = points.map(({ at, hits }, i) => `${i === 0 ? 'M' : 'L'}${n(x(at))} ${n(y(hits))}`).join('')
    parts.push(
      `<path d="${path}" fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round"${dashed ? ' stroke-dasharray="5 4"' : ''}/>`,
    )
    parts.push(
      text(`x="${right + 8}" y="${n(ends[i]!)}"`, name, `dy="4" font-size="13" font-weight="600" fill="${color}"`),
    )
  })
  const font = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ${font}>\n${parts.join('\n')}\n</svg>\n`
}

/** Labels at the ends of lines, moved down where they would lie on each other. */
function labelPlaces(wanted: number[]): number[] {
  const places = [...wanted]
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]!)
  for (let i = 1; i < order.length; i++) {
    places[order[i]!] = Math.max(places[order[i]!]!, places[order[i - 1]!]! + 18)
  }
  return places
}

const n = (value: number): string => value.toFixed(1)

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
