export interface Clock {
  /** Wall clock: milliseconds since 1970. May jump. */
  nowMs(): number;
  /** Milliseconds, with fractions, from an arbitrary start. Never runs backwards: use it for durations and deadlines. */
  monotonicMs(): number;
}
