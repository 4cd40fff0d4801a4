/**
 * A comparison as one SVG: for each workload and peer the ratio of throughput and of processor time a request, a dot for the
 * median, a line from the least to the most. Pure: numbers in, text out.
 */
import type { CompareReport, Ratio, Spread } from './compare.js'

const WIDTH = 900
const ROW = 44
const BOX = { left: 260, top: 96, right: 40, bottom: 44 }
const INK = '#1f2430'
const FAINT = '#6b7280'
const GRID = '#e5e7eb'
const THROUGHPUT = '#4f46e5'
const CPU = '#d97706'
/** Ratios on a scale of factors: half as much is as far from 1 as twice as much. */
const LEAST_SPAN = 2

export function compareChart({ comparisons, settings, machine }: CompareReport): string {
  const rows = comparisons.flatMap(({ workload, ratios }) => ratios.map(ratio => ({ workload: workload.name, ratio })))
  const spreads = rows.flatMap(({ ratio }) => [ratio.throughput, ratio.cpu]).filter(one => one !== null)
  const span = Math.max(LEAST_SPAN, ...spreads.flatMap(({ min, max }) => [max, 1 / min]))
  const height = BOX.top + rows.length * ROW + BOX.bottom
  const right = WIDTH - BOX.right
  const bottom = height - BOX.bottom
  const x = (ratio: number) => BOX.left + ((Math.log(ratio) / Math.log(span) + 1) / 2) * (right - BOX.left)
  const parts = [
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    words(24, 34, 'continuum against its peers', `font-size="18" font-weight="600" fill="${INK}"`),
    words(
      24,
      56,
      `${settings.rounds} rounds of ${settings.durationMs / 1000} s, one core each; ${machine.cpu}, Node ${machine.node}`,
      `font-size="13" fill="${FAINT}"`,
    ),
    words(24, 78, 'throughput (right is better)', `font-size="13" fill="${THROUGHPUT}"`),
    words(220, 78, 'processor time a request (left is better)', `font-size="13" fill="${CPU}"`),
  ]
  for (const tick of [0.1, 0.2, 0.5, 0.75, 1, 1.33, 2, 5, 10]) {
    if (tick > span * 1.001 || tick < 0.999 / span) continue
    const at = x(tick).toFixed(1)
    const stroke = tick === 1 ? INK : GRID
    parts.push(`<line x1="${at}" x2="${at}" y1="${BOX.top - 4}" y2="${bottom}" stroke="${stroke}"/>`)
    parts.push(words(Number(at), bottom + 20, `${tick}x`, `text-anchor="middle" font-size="12" fill="${FAINT}"`))
  }
  rows.forEach(({ workload, ratio }, i) => {
    const y = BOX.top + i * ROW + ROW / 2
    parts.push(words(24, y + 4, `${workload} / ${ratio.peer}`, `font-size="13" fill="${INK}"`))
    parts.push(...marks(ratio, y, x))
  })
  const font = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${font}>\n${parts.join('\n')}\n</svg>\n`
}

function marks({ throughput, cpu }: Ratio, y: number, x: (ratio: number) => number): string[] {
  const mark = (spread: Spread | null, at: number, color: string): string[] =>
    spread === null
      ? []
      : [
          `<line x1="${x(spread.min).toFixed(1)}" x2="${x(spread.max).toFixed(1)}" y1="${at}" y2="${at}" stroke="${color}" stroke-width="2"/>`,
          `<circle cx="${x(spread.median).toFixed(1)}" cy="${at}" r="5" fill="${color}"/>`,
        ]
  return [...mark(throughput, y - 7, THROUGHPUT), ...mark(cpu, y + 7, CPU)]
}

function words(x: number, y: number, text: string, rest: string): string {
  return `<text x="${x}" y="${y}" ${rest}>${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`
}
