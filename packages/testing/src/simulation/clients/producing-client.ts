import { Producer } from '@ottla/client';
import { tellError } from '../node-log.ts';
import { closeSoon, type OpenEvent, SimulatedClient } from './simulated-client.ts';

const mostUnanswered = 20;

/** An idempotent producer with acks=all that goes on sending while earlier records are unanswered. */
export class ProducingClient extends SimulatedClient {
  #producer: Producer | undefined;
  #sent = 0;
  #unanswered = 0;

  protected async doNext(): Promise<void> {
    if (this.#unanswered >= mostUnanswered) return;
    this.#producer ??= new Producer({
      ...this.common,
      clientId: this.process,
      deliveryTimeoutMs: 15_000,
      maxBlockMs: 8_000,
      lingerMs: this.random.below(2) * 5,
    });
    const count = 1 + this.random.below(4);
    for (let index = 0; index < count; index++) this.#send(this.#producer);
  }

  #send(producer: Producer): void {
    const { topic, partition } = this.anyPartition();
    const value = `${this.process}-${this.#sent++}`;
    const event: OpenEvent<'send'> = {
      type: 'send',
      process: this.process,
      partition: `${topic}-${partition}`,
      value,
      offset: null,
    };
    this.history.push(event);
    this.#unanswered++;
    producer
      .send({ topic, partition, value })
      .then(
        ({ offset }) => {
          event.offset = offset;
          this.hear({ type: 'acknowledged', client: this.process, topic, partition, offset });
        },
        (error) => this.note(`${value} to ${topic}-${partition}: ${tellError(error)}`),
      )
      .finally(() => this.#unanswered--);
  }

  protected async close(): Promise<void> {
    await closeSoon(this.runtime, this.#producer?.close());
    this.#producer = undefined;
  }
}
