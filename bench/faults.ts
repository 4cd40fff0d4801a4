/** What `bench torture` does to a tier, by the words of its `--faults`. */
export const FAULTS = ['pause', 'kill', 'cut', 'oneway', 'isolate', 'store', 'coordinator', 'full'] as const
export type Fault = (typeof FAULTS)[number]
