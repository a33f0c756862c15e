export type ConnectionQuotaLimits = {
  /** Of all listeners together (`max.connections`). */
  readonly maxConnections?: number;
  readonly maxConnectionsPerIp?: number;
  /** By address (`max.connections.per.ip.overrides`). */
  readonly maxConnectionsPerIpOverrides?: ReadonlyMap<string, number>;
  /** `listener.name.<name>.max.connections`. */
  readonly maxConnectionsPerListener?: ReadonlyMap<string, number>;
  /** The listener of the other brokers: it may go beyond `maxConnections`, at the cost of the others. */
  readonly protectedListener?: string;
};

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
 * connection waits for another to close; beyond the limit of its address it is closed at once.
 */
export class ConnectionQuota {
  #limits: ConnectionQuotaLimits;
  #total = 0;
  readonly #byListener = new Map<string, number>();
  readonly #byIp = new Map<string, number>();
  readonly #members = new Set<QuotaMember>();

  constructor(limits: ConnectionQuotaLimits = {}) {
    this.#limits = limits;
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

  /** Counts the connection if it may open now. */
  open(listenerName: string, ip: string): 'opened' | 'wait' | 'refused' {
    const { maxConnections = unlimited, maxConnectionsPerListener, protectedListener } = this.#limits;
    const ofListener = this.#byListener.get(listenerName) ?? 0;
    if (ofListener >= (maxConnectionsPerListener?.get(listenerName) ?? unlimited)) return 'wait';
    if (this.#total >= maxConnections && listenerName !== protectedListener) return 'wait';
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

function decrement(counts: Map<string, number>, key: string): void {
  const count = counts.get(key)! - 1;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
