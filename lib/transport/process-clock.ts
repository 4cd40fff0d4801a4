/**
 * The monotonic clock that the threads of a process have in common. `performance.now` alone counts from the start of its
 * thread; what it lacks to the clock of the system is measured once a thread.
 */
const [seconds, nanoseconds] = process.hrtime()
const offset = seconds * 1000 + nanoseconds / 1e6 - performance.now()

export function processClock(): number {
  return performance.now() + offset
}
