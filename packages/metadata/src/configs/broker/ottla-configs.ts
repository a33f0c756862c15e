import { defineConfigs, long } from '../define-configs.ts';

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
});
