/** What `version`, `stats` and -V say: three numbers and nothing behind them, because npm `memcached` throws at anything else. */
export const VERSION_TEXT = '1.6.45'
