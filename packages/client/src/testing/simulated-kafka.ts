import { Consumer, type ConsumerConfig, Producer, type ProducerConfig } from '@ottla/client';
import { type Runtime, World } from '@ottla/runtime';
import { type Kafka, type StartKafkaOptions, startKafka } from '@ottla/testing';

/** A real broker and its clients on two simulated machines, in virtual time. */
export class SimulatedKafka {
  readonly world: World;
  readonly kafka: Kafka;
  readonly runtime: Runtime;

  static async start(seed: number, options: StartKafkaOptions = {}): Promise<SimulatedKafka> {
    const world = new World({ seed, wires: { minLatencyMs: 5, maxLatencyMs: 20 } });
    const runtime = world.machine('broker').boot();
    const started = startKafka({ ...options, runtime, host: 'broker', port: 9092 });
    return new SimulatedKafka(world, await world.runUntil(started));
  }

  private constructor(world: World, kafka: Kafka) {
    this.world = world;
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

  cutConnections(): void {
    this.world.dropConnections('client', 'broker');
  }
}
