import { defineConfigs, int, long, string } from '../define-configs.ts';

/**
 * Broker configs of Ottla's own, which Kafka does not have. They are internal so that DescribeConfigs shows a client of Kafka's what it
 * expects; once set they are shown.
 */
export const ottlaConfigs = defineConfigs({
  'ottla.tail.cache.bytes': long({
    default: 64 * 1024 * 1024,
    min: 0,
    internal: true,
    honoured: true,
    doc: 'Memory for what was appended last to the partitions that are read at their ends, all together; below 262144 there is none.',
  }),
  'ottla.telemetry.directory': string({
    default: null,
    internal: true,
    honoured: true,
    doc: 'Where the metrics that clients push (KIP-714) are written, a line of OTLP/JSON for each push; not in a log directory. Unset, clients are not asked for any.',
  }),
  'ottla.telemetry.file.bytes': int({
    default: 16 * 1024 * 1024,
    min: 1024 * 1024,
    internal: true,
    honoured: true,
    doc: 'A file of client metrics is put aside before it grows past this.',
  }),
  'ottla.telemetry.files': int({
    default: 8,
    min: 1,
    max: 1000,
    internal: true,
    honoured: true,
    doc: 'How many files of client metrics there are at most: the oldest is removed.',
  }),
});
