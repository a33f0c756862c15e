import { type Api, KafkaError } from '@ottla/protocol';
import type { BrokerPeers } from './peers/broker-peers.ts';
import type { Peer } from './peers/peer.ts';

type Answer = (request: never) => unknown;

/** Test support: other brokers, each an answer for every API that is asked of it. One that is not there cannot be reached. */
export class FakeBrokers implements Pick<BrokerPeers, 'nodeId' | 'to'> {
  readonly nodeId = 1;
  readonly #answers = new Map<string, Answer>();
  /** `BROKER API` for each request. */
  readonly asked: string[] = [];

  answer<Request, Response>(
    brokerId: number,
    api: Api<Request, Response>,
    answer: (request: Request) => Response | Promise<Response>,
  ): void {
    this.#answers.set(`${brokerId} ${api.name}`, answer as Answer);
  }

  to(brokerId: number): Peer {
    const send = async (api: Api, request: never): Promise<unknown> => {
      const what = `${brokerId} ${api.name}`;
      this.asked.push(what);
      const answer = this.#answers.get(what);
      if (!answer) throw new KafkaError('NETWORK_EXCEPTION', `broker ${brokerId} is gone`);
      return answer(request);
    };
    return { send } as unknown as Peer;
  }
}
