import type { Api, Writable } from '@ottla/protocol';
import type { Address } from '@ottla/runtime';

export type ChannelOptions = {
  /** How long the active controller is looked for, and waited for. */
  readonly timeoutMs?: number;
};

/** A client's request, as it reached this node. */
export type ClientRequest = {
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  readonly connection: { readonly remote: Address };
};

/** The way from this node to the active controller, wherever that is. */
export interface ControllerChannel {
  /**
   * What this node itself asks. Rejects with the KafkaError that the answer carries at its top, or with what kept the answer away:
   * REQUEST_TIMED_OUT when no active controller could be asked in time, NETWORK_EXCEPTION when this channel is closed. Items of an answer carry
   * their own errors.
   */
  send<Request, Response>(api: Api<Request, Response>, request: Request, options?: ChannelOptions): Promise<Response>;

  /** What a client asks. Rejects as `send`; the answer is the controller's to this version, its errors included. */
  forward<Request, Response>(api: Api<Request, Response>, request: Request, client: ClientRequest): Promise<Writable<Response>>;

  /** What the active controller said of the APIs that it serves; undefined where it is this node, or was not talked to yet. */
  readonly controllerVersions: ReadonlyMap<number, { readonly minVersion: number; readonly maxVersion: number }> | undefined;
}

/** The controller of this very node, for whom there is no need of a network. */
export interface LocalController {
  readonly isActive: boolean;
  send<Request, Response>(api: Api<Request, Response>, request: Request): Promise<Response>;
  forward<Request, Response>(api: Api<Request, Response>, request: Request, client: ClientRequest): Promise<Writable<Response>>;
}
