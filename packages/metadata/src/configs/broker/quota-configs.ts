import { defineConfigs, int, javaClass, list, long, string } from '../define-configs.ts';

/** Broker configs: quotas, metrics and telemetry. */
export const quotaConfigs = defineConfigs({
  'alter.log.dirs.replication.quota.window.num': int({
    default: 11,
    min: 1,
    importance: 'low',
    honoured: 'moot',
    doc: 'The pace of moves is kept from one step to the next: there are no windows.',
  }),
  'alter.log.dirs.replication.quota.window.size.seconds': int({
    default: 1,
    min: 1,
    importance: 'low',
    honoured: 'moot',
    doc: 'The pace of moves is kept from one step to the next: there are no windows.',
  }),
  'client.quota.callback.class': javaClass({
    default: null,
    importance: 'low',
    honoured: true,
    doc: 'Ottla loads no classes: a node with this set refuses to start, for nothing would enforce the policy.',
  }),
  'controller.quota.window.num': int({ default: 11, min: 1, importance: 'low' }),
  'controller.quota.window.size.seconds': int({ default: 1, min: 1, importance: 'low' }),
  'kafka.metrics.polling.interval.secs': int({ default: 10, min: 1, importance: 'low' }),
  'kafka.metrics.reporters': list({ default: [], importance: 'low' }),
  'metric.reporters': list({
    default: ['org.apache.kafka.common.metrics.JmxReporter'],
    importance: 'low',
    dynamic: 'cluster-wide',
  }),
  'metrics.num.samples': int({ default: 2, min: 1, importance: 'low' }),
  'metrics.recording.level': string({ default: 'INFO', importance: 'low' }),
  'metrics.sample.window.ms': long({ default: 30_000, min: 1, importance: 'low' }),
  'quota.window.num': int({
    default: 11,
    min: 1,
    importance: 'low',
    honoured: true,
    doc: 'Over how many windows the rate of new connections is taken.',
  }),
  'quota.window.size.seconds': int({
    default: 1,
    min: 1,
    importance: 'low',
    honoured: true,
    doc: 'How long such a window is, and for how long at most a connection that comes too fast has to wait.',
  }),
  'replication.quota.window.num': int({
    default: 11,
    min: 1,
    importance: 'low',
    honoured: true,
    doc: 'Over how many windows the rate of throttled replication is taken.',
  }),
  'replication.quota.window.size.seconds': int({
    default: 1,
    min: 1,
    importance: 'low',
    honoured: true,
    doc: 'How long such a window is.',
  }),
  'telemetry.max.bytes': int({
    default: 1_048_576,
    min: 1,
    importance: 'low',
    honoured: true,
    doc: 'The most that one push of client metrics may have, compressed or not: see ottla.telemetry.directory.',
  }),
});
