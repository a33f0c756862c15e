import { type ClientAttribute, clientAttributes } from '@ottla/metadata';
import { decodeMetricsData, type OtlpMetricsData, type OtlpResourceMetrics } from './otlp-metrics.ts';

/**
 * What a client has pushed as one line of OTLP/JSON, which is what OpenTelemetry's tools write to files and read from them. To the
 * attributes of each resource, if it has none of that name, come those by which the broker knows the client. Clients wrap each metric into a
 * resource of its own: those that are the same are one here. Throws RangeError and TypeError for what is no metrics.
 */
export function clientMetricsLine(metrics: Uint8Array, client: Readonly<Record<ClientAttribute, string | null>>): string {
  const { resourceMetrics = [] } = decodeMetricsData(metrics);
  const merged = mergedResources(resourceMetrics);
  for (const resource of merged) addAttributes(resource, client);
  return `${JSON.stringify({ resourceMetrics: merged } satisfies OtlpMetricsData)}\n`;
}

function mergedResources(resources: readonly OtlpResourceMetrics[]): OtlpResourceMetrics[] {
  const merged = mergedBy(
    resources,
    ({ resource = {}, schemaUrl }) => [resource, schemaUrl],
    (into, { scopeMetrics = [] }) => (into.scopeMetrics ??= []).push(...scopeMetrics),
  );
  for (const resource of merged) {
    resource.scopeMetrics = mergedBy(
      resource.scopeMetrics ?? [],
      ({ scope = {}, schemaUrl }) => [scope, schemaUrl],
      (into, { metrics = [] }) => (into.metrics ??= []).push(...metrics),
    );
  }
  return merged;
}

/** Elements with the same key become one, in the place of the first. */
function mergedBy<Element>(
  elements: readonly Element[],
  keyOf: (element: Element) => unknown,
  merge: (into: Element, element: Element) => void,
): Element[] {
  const byKey = new Map<string, Element>();
  for (const element of elements) {
    const key = JSON.stringify(keyOf(element));
    const first = byKey.get(key);
    if (first) merge(first, element);
    else byKey.set(key, element);
  }
  return [...byKey.values()];
}

function addAttributes(resourceMetrics: OtlpResourceMetrics, client: Readonly<Record<ClientAttribute, string | null>>): void {
  const attributes = ((resourceMetrics.resource ??= {}).attributes ??= []);
  const there = new Set(attributes.map(({ key }) => key));
  for (const key of clientAttributes) {
    const stringValue = client[key];
    if (stringValue !== null && !there.has(key)) attributes.push({ key, value: { stringValue } });
  }
}
