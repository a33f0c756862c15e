import { type RateWindows, SampledRate } from './sampled-rate.ts';

export type ConnectionQuotaLimits = {
  /** Of all listeners together (`max.connections`). */
  readonly maxConnections?: number;
  readonly maxConnectionsPerIp?: number;
  /** By address (`max.connections.per.ip.overrides`). */
  readonly maxConnectionsPerIpOverrides?: ReadonlyMap<string, number>;
  /** `listener.name.<name>.max.connections`. */
  readonly maxConnectionsPerListener?: ReadonlyMap<string, number>;
  /** The listener of the other brokers: it may go beyond `maxConnections`, at the cost of the others, and beyond `maxCreationRate`. */
  readonly protectedListener?: string;
  /** New connections a second, of all listeners but the protected one together (`max.connection.creation.rate`). */
  readonly maxCreationRate?: number;
  /** `listener.name.<name>.max.connection.creation.rate`. */
  readonly maxCreationRatePerListener?: ReadonlyMap<string, number>;
  /** The quota `connection_creation_rate` of an address; undefined where it has none. */
  readonly creationRateOfIp?: (ip: string) => number | undefined;
};

export type Admission = 'opened' | 'wait' | 'refused' | { readonly tooFastMs: number };

/** A listener as the quota sees it. */
export type QuotaMember = {
  readonly listenerName: string;
  /** A connection was closed somewhere, or a limit changed: what waits may try again. */
  roomMayHaveCome(): void;
  /** Closes the connection that was idle for longest. */
  closeLeastRecentlyUsed(): void;
};

/**
 * Counts the connections of a broker, for all of its listeners. Kafka's rules: at a listener's or the broker's limit a new
 * connection waits for another to close; beyond the limit of its address it is closed at once. Where connections come too fast the listener
 * takes the next one later; what comes too fast from one address is closed, but not at once, lest it come again.
 */
export class ConnectionQuota {
  #limits: ConnectionQuotaLimits;
  readonly #rateWindows: RateWindows;
  readonly #creationRate: SampledRate;
  readonly #creationRateByListener = new Map<string, SampledRate>();
  readonly #creationRateByIp = new Map<string, SampledRate>();
  #total = 0;
  readonly #byListener = new Map<string, number>();
  readonly #byIp = new Map<string, number>();
  readonly #members = new Set<QuotaMember>();

  constructor(limits: ConnectionQuotaLimits = {}, rateWindows: RateWindows = defaultRateWindows) {
    this.#limits = limits;
    this.#rateWindows = rateWindows;
    this.#creationRate = new SampledRate(rateWindows);
  }

  get limits(): ConnectionQuotaLimits {
    return this.#limits;
  }

  /** May be replaced while running; open connections stay, and those that wait may come in. */
  set limits(limits: ConnectionQuotaLimits) {
    this.#limits = limits;
    this.#letWaitingTry();
  }

  get total(): number {
    return this.#total;
  }

  join(member: QuotaMember): void {
    this.#members.add(member);
  }

  leave(member: QuotaMember): void {
    this.#members.delete(member);
  }

  /** Notes that a connection came, and answers how long the listener is to take no other: at most one window. */
  arrived(listenerName: string, nowMs: number): number {
    const { maxCreationRate = unlimited, maxCreationRatePerListener, protectedListener } = this.#limits;
    let ofListener = this.#creationRateByListener.get(listenerName);
    if (!ofListener) this.#creationRateByListener.set(listenerName, (ofListener = new SampledRate(this.#rateWindows)));
    ofListener.record(1, nowMs);
    let throttleMs = ofListener.throttleMs(maxCreationRatePerListener?.get(listenerName) ?? unlimited, nowMs);
    if (listenerName !== protectedListener) {
      this.#creationRate.record(1, nowMs);
      throttleMs = Math.max(throttleMs, this.#creationRate.throttleMs(maxCreationRate, nowMs));
    }
    return Math.min(throttleMs, this.#rateWindows.windowMs);
  }

  /** Counts the connection if it may open now. `tooFastMs`: it is to be closed, after that time. */
  open(listenerName: string, ip: string, nowMs: number): Admission {
    const { maxConnections = unlimited, maxConnectionsPerListener, protectedListener } = this.#limits;
    const ofListener = this.#byListener.get(listenerName) ?? 0;
    if (ofListener >= (maxConnectionsPerListener?.get(listenerName) ?? unlimited)) return 'wait';
    if (this.#total >= maxConnections && listenerName !== protectedListener) return 'wait';
    const tooFastMs = this.#tooFastMs(ip, nowMs);
    if (tooFastMs > 0) return { tooFastMs };
    if ((this.#byIp.get(ip) ?? 0) >= this.maxOfIp(ip)) return 'refused';
    this.#total++;
    this.#byListener.set(listenerName, ofListener + 1);
    this.#byIp.set(ip, (this.#byIp.get(ip) ?? 0) + 1);
    if (this.#total > maxConnections) this.#makeRoom();
    return 'opened';
  }

  maxOfIp(ip: string): number {
    return this.#limits.maxConnectionsPerIpOverrides?.get(ip) ?? this.#limits.maxConnectionsPerIp ?? unlimited;
  }

  /** Takes back what `open` counted. */
  close(listenerName: string, ip: string): void {
    this.#total--;
    decrement(this.#byListener, listenerName);
    decrement(this.#byIp, ip);
    this.#letWaitingTry();
  }

  /** A connection that is not accepted does not count. */
  #tooFastMs(ip: string, nowMs: number): number {
    const perSecond = this.#limits.creationRateOfIp?.(ip);
    if (perSecond === undefined) return 0;
    let rate = this.#creationRateByIp.get(ip);
    if (!rate) {
      this.#forgetQuietAddresses(nowMs);
      this.#creationRateByIp.set(ip, (rate = new SampledRate(this.#rateWindows)));
    }
    rate.record(1, nowMs);
    const throttleMs = rate.throttleMs(perSecond, nowMs);
    if (throttleMs > 0) rate.record(-1, nowMs);
    return Math.min(throttleMs, this.#rateWindows.windowMs);
  }

  #forgetQuietAddresses(nowMs: number): void {
    if (this.#creationRateByIp.size < mostAddresses) return;
    for (const [ip, rate] of this.#creationRateByIp) if (rate.isEmpty(nowMs)) this.#creationRateByIp.delete(ip);
    // More at once than can be told apart: the one first seen starts anew.
    for (const ip of this.#creationRateByIp.keys()) {
      if (this.#creationRateByIp.size < mostAddresses) break;
      this.#creationRateByIp.delete(ip);
    }
  }

  #letWaitingTry(): void {
    for (const member of this.#members) member.roomMayHaveCome();
  }

  #makeRoom(): void {
    for (const member of this.#members) {
      if (member.listenerName === this.#limits.protectedListener || !this.#byListener.get(member.listenerName)) continue;
      member.closeLeastRecentlyUsed();
      return;
    }
  }
}

const unlimited = Number.POSITIVE_INFINITY;
const defaultRateWindows: RateWindows = { samples: 11, windowMs: 1000 };
/** Whose rate of new connections is remembered at a time. */
const mostAddresses = 10_000;

function decrement(counts: Map<string, number>, key: string): void {
  const count = counts.get(key)! - 1;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
