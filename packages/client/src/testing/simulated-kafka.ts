import { Consumer, type ConsumerConfig, Producer, type ProducerConfig } from '@ottla/client';
import { type Machine, type Runtime, World } from '@ottla/runtime';
import { type Kafka, type StartKafkaOptions, startKafka } from '@ottla/testing';

/** A real broker and its clients on two simulated machines, in virtual time. */
export class SimulatedKafka {
  readonly world: World;
  kafka: Kafka;
  readonly runtime: Runtime;
  readonly #broker: Machine;

  static async start(seed: number, options: StartKafkaOptions = {}): Promise<SimulatedKafka> {
    const world = new World({ seed, wires: { minLatencyMs: 5, maxLatencyMs: 20 } });
    const broker = world.machine('broker');
    const started = startKafka({ ...options, ...placeOf(broker) });
    return new SimulatedKafka(world, broker, await world.runUntil(started));
  }

  private constructor(world: World, broker: Machine, kafka: Kafka) {
    this.world = world;
    this.#broker = broker;
    this.kafka = kafka;
    this.runtime = world.machine('client').boot();
  }

  producer(config: Partial<ProducerConfig> = {}): Producer {
    return new Producer({ bootstrapServers: this.kafka.bootstrapServers, runtime: this.runtime, ...config });
  }

  consumer(config: Partial<ConsumerConfig> = {}): Consumer {
    return new Consumer({
      bootstrapServers: this.kafka.bootstrapServers,
      runtime: this.runtime,
      autoOffsetReset: 'earliest',
      ...config,
    });
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.world.runUntil(promise);
  }

  /** Stops cleanly, is away for a while, and comes back with its files. */
  async restart(awayMs: number): Promise<void> {
    await this.run(this.kafka.stop());
    this.#broker.kill();
    await this.world.advance(awayMs);
    this.kafka = await this.run(startKafka(placeOf(this.#broker)));
  }

  cutConnections(): void {
    this.world.dropConnections('client', 'broker');
  }
}

function placeOf(machine: Machine): StartKafkaOptions {
  return { runtime: machine.boot(), host: 'broker', port: 9092 };
}
