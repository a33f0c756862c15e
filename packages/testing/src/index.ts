export { type Anomaly, type AnomalyName, anomalies, isAllowed } from './histories/anomalies.ts';
export { anomalyCounts, checkHistory, type Verdict } from './histories/check-history.ts';
export { Evidence, isCommitted } from './histories/evidence.ts';
export type { HistoryEvent } from './histories/history.ts';
export { type Kafka, type StartKafkaOptions, startKafka } from './start-kafka.ts';
