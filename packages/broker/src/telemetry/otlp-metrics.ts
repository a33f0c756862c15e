/**
 * What clients push: MetricsData of the OpenTelemetry protocol 1.3, opentelemetry/proto/metrics/v1/metrics.proto and what it imports. As an
 * object it is OTLP's JSON: ids of traces in hex, enums as numbers.
 */
import {
  decodeProtobuf,
  type ProtobufField,
  type ProtobufJson,
  type ProtobufMessage,
  type ScalarKind,
} from './protobuf-decoder.ts';

export type OtlpMetricsData = { resourceMetrics?: OtlpResourceMetrics[] };
export type OtlpResourceMetrics = { resource?: OtlpResource; scopeMetrics?: OtlpScopeMetrics[]; schemaUrl?: string };
export type OtlpResource = { attributes?: OtlpAttribute[]; droppedAttributesCount?: number };
export type OtlpAttribute = { key?: string; value?: ProtobufJson };
export type OtlpScopeMetrics = { scope?: ProtobufJson; metrics?: ProtobufJson[]; schemaUrl?: string };

/** Throws RangeError, or TypeError for a text that is none. */
export function decodeMetricsData(bytes: Uint8Array): OtlpMetricsData {
  return decodeProtobuf(metricsData, bytes) as OtlpMetricsData;
}

type Type = ScalarKind | (() => ProtobufMessage);
/** `name*` is repeated. */
type Fields = Readonly<Record<number, readonly [name: string, type: Type]>>;

function message(fields: Fields, oneof: readonly string[] = []): ProtobufMessage {
  return new Map(
    Object.entries(fields).map(([number, [text, type]]): [number, ProtobufField] => {
      const name = text.replace('*', '');
      const instead = oneof.includes(name) ? oneof.filter((other) => other !== name) : [];
      return [Number(number), { name, type, repeated: text.endsWith('*'), instead }];
    }),
  );
}

const anyValue: ProtobufMessage = message(
  {
    1: ['stringValue', 'string'],
    2: ['boolValue', 'bool'],
    3: ['intValue', 'int64'],
    4: ['doubleValue', 'double'],
    5: ['arrayValue', () => arrayValue],
    6: ['kvlistValue', () => keyValueList],
    7: ['bytesValue', 'bytes'],
  },
  ['stringValue', 'boolValue', 'intValue', 'doubleValue', 'arrayValue', 'kvlistValue', 'bytesValue'],
);
const arrayValue = message({ 1: ['values*', () => anyValue] });
const keyValue = message({ 1: ['key', 'string'], 2: ['value', () => anyValue] });
const keyValueList = message({ 1: ['values*', () => keyValue] });

const exemplar = message(
  {
    2: ['timeUnixNano', 'fixed64'],
    3: ['asDouble', 'double'],
    4: ['spanId', 'hex'],
    5: ['traceId', 'hex'],
    6: ['asInt', 'sfixed64'],
    7: ['filteredAttributes*', () => keyValue],
  },
  ['asDouble', 'asInt'],
);
const numberDataPoint = message(
  {
    2: ['startTimeUnixNano', 'fixed64'],
    3: ['timeUnixNano', 'fixed64'],
    4: ['asDouble', 'double'],
    5: ['exemplars*', () => exemplar],
    6: ['asInt', 'sfixed64'],
    7: ['attributes*', () => keyValue],
    8: ['flags', 'uint32'],
  },
  ['asDouble', 'asInt'],
);
const histogramDataPoint = message({
  2: ['startTimeUnixNano', 'fixed64'],
  3: ['timeUnixNano', 'fixed64'],
  4: ['count', 'fixed64'],
  5: ['sum', 'double'],
  6: ['bucketCounts*', 'fixed64'],
  7: ['explicitBounds*', 'double'],
  8: ['exemplars*', () => exemplar],
  9: ['attributes*', () => keyValue],
  10: ['flags', 'uint32'],
  11: ['min', 'double'],
  12: ['max', 'double'],
});
const buckets = message({ 1: ['offset', 'sint32'], 2: ['bucketCounts*', 'uint64'] });
const exponentialHistogramDataPoint = message({
  1: ['attributes*', () => keyValue],
  2: ['startTimeUnixNano', 'fixed64'],
  3: ['timeUnixNano', 'fixed64'],
  4: ['count', 'fixed64'],
  5: ['sum', 'double'],
  6: ['scale', 'sint32'],
  7: ['zeroCount', 'fixed64'],
  8: ['positive', () => buckets],
  9: ['negative', () => buckets],
  10: ['flags', 'uint32'],
  11: ['exemplars*', () => exemplar],
  12: ['min', 'double'],
  13: ['max', 'double'],
  14: ['zeroThreshold', 'double'],
});
const valueAtQuantile = message({ 1: ['quantile', 'double'], 2: ['value', 'double'] });
const summaryDataPoint = message({
  2: ['startTimeUnixNano', 'fixed64'],
  3: ['timeUnixNano', 'fixed64'],
  4: ['count', 'fixed64'],
  5: ['sum', 'double'],
  6: ['quantileValues*', () => valueAtQuantile],
  7: ['attributes*', () => keyValue],
  8: ['flags', 'uint32'],
});

const gauge = message({ 1: ['dataPoints*', () => numberDataPoint] });
const sum = message({
  1: ['dataPoints*', () => numberDataPoint],
  2: ['aggregationTemporality', 'enum'],
  3: ['isMonotonic', 'bool'],
});
const histogram = message({ 1: ['dataPoints*', () => histogramDataPoint], 2: ['aggregationTemporality', 'enum'] });
const exponentialHistogram = message({
  1: ['dataPoints*', () => exponentialHistogramDataPoint],
  2: ['aggregationTemporality', 'enum'],
});
const summary = message({ 1: ['dataPoints*', () => summaryDataPoint] });
const metric = message(
  {
    1: ['name', 'string'],
    2: ['description', 'string'],
    3: ['unit', 'string'],
    5: ['gauge', () => gauge],
    7: ['sum', () => sum],
    9: ['histogram', () => histogram],
    10: ['exponentialHistogram', () => exponentialHistogram],
    11: ['summary', () => summary],
    12: ['metadata*', () => keyValue],
  },
  ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'],
);

const instrumentationScope = message({
  1: ['name', 'string'],
  2: ['version', 'string'],
  3: ['attributes*', () => keyValue],
  4: ['droppedAttributesCount', 'uint32'],
});
const scopeMetrics = message({
  1: ['scope', () => instrumentationScope],
  2: ['metrics*', () => metric],
  3: ['schemaUrl', 'string'],
});
const resource = message({ 1: ['attributes*', () => keyValue], 2: ['droppedAttributesCount', 'uint32'] });
const resourceMetrics = message({
  1: ['resource', () => resource],
  2: ['scopeMetrics*', () => scopeMetrics],
  3: ['schemaUrl', 'string'],
});
const metricsData = message({ 1: ['resourceMetrics*', () => resourceMetrics] });
