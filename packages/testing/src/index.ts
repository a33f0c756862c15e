export { type Kafka, type StartKafkaOptions, startKafka } from './start-kafka.ts';
