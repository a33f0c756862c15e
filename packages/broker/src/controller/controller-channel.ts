import type { Api } from '@ottla/protocol';
import type { ActiveController } from './active-controller.ts';
import { type OperationRules, operationOf } from './controller-operations.ts';

export type ChannelOptions = {
  /** How long the active controller is looked for, and waited for. */
  readonly timeoutMs?: number;
};

/** The way from this node to the active controller, wherever that is. */
export interface ControllerChannel {
  /**
   * Rejects with the KafkaError that the answer carries at its top, or with what kept the answer away: REQUEST_TIMED_OUT when no active
   * controller could be asked in time, NETWORK_EXCEPTION when this channel is closed. Items of an answer carry their own errors.
   */
  send<Request, Response>(api: Api<Request, Response>, request: Request, options?: ChannelOptions): Promise<Response>;
}

/** To the controller of this very node. */
export class LocalControllerChannel implements ControllerChannel {
  readonly #controller: ActiveController;
  readonly #rules: OperationRules;

  constructor(controller: ActiveController, rules: OperationRules) {
    this.#controller = controller;
    this.#rules = rules;
  }

  send<Request, Response>(api: Api<Request, Response>, request: Request): Promise<Response> {
    const { decide } = operationOf(api);
    return this.#controller.submit((controller, context) => decide(controller, request, context, this.#rules));
  }
}
