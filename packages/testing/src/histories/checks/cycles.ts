/** How committed transactions depend on one another. An edge leads from who must have been first to who came after. */
import type { Anomaly } from '../anomalies.ts';
import { type Evidence, isCommitted } from '../evidence.ts';
import type { Transaction } from '../history.ts';

type Graph = Map<Transaction, Set<Transaction>>;

export function checkCycles(evidence: Evidence): Anomaly[] {
  return [
    ...circles(writesBeforeWrites(evidence)).map((circle): Anomaly => ({ name: 'G0', what: told(circle) })),
    ...circles(writesBeforeReads(evidence)).map((circle): Anomaly => ({ name: 'G1c', what: told(circle) })),
  ];
}

function told(circle: readonly Transaction[]): string {
  const some = circle.slice(0, 4).map(({ process, beganMs }) => `${process} from ${beganMs} ms`);
  return `${circle.length} transactions, among them those of ${some.join('; ')}`;
}

/** Who wrote next after whom, in each log. */
function writesBeforeWrites(evidence: Evidence): Graph {
  const graph: Graph = new Map();
  for (const log of evidence.finals.read_committed.values()) {
    let last: Transaction | undefined;
    for (const offset of log.offsets) {
      const writer = evidence.origins.get(log.values.get(offset)!)?.transaction;
      if (!writer) continue;
      if (last && last !== writer) edge(graph, last, writer);
      last = writer;
    }
  }
  return graph;
}

/** With edges between writes as well there are circles as soon as writes interleave, which is allowed. */
function writesBeforeReads(evidence: Evidence): Graph {
  const graph: Graph = new Map();
  for (const reading of evidence.readings.filter(isCommitted)) {
    const reader = reading.transaction;
    if (!reader || !evidence.isCommitted(reader)) continue;
    for (const [, , value] of reading.records) {
      const writer = evidence.origins.get(value)?.transaction;
      if (writer && writer !== reader && evidence.isCommitted(writer)) edge(graph, writer, reader);
    }
  }
  return graph;
}

function edge(graph: Graph, from: Transaction, to: Transaction): void {
  const known = graph.get(from);
  if (known) known.add(to);
  else graph.set(from, new Set([to]));
}

/** The strongly connected components of more than one, by Tarjan's algorithm with a stack of its own, as paths are long. */
function circles(graph: Graph): Transaction[][] {
  const found: Transaction[][] = [];
  const index = new Map<Transaction, number>();
  const low = new Map<Transaction, number>();
  const open: Transaction[] = [];
  const isOpen = new Set<Transaction>();
  const enter = (node: Transaction) => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    open.push(node);
    isOpen.add(node);
    return { node, edges: (graph.get(node) ?? new Set<Transaction>()).values() };
  };
  for (const root of graph.keys()) {
    if (index.has(root)) continue;
    const path = [enter(root)];
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const { value: next, done } = top.edges.next();
      if (!done) {
        if (!index.has(next)) path.push(enter(next));
        else if (isOpen.has(next)) low.set(top.node, Math.min(low.get(top.node)!, index.get(next)!));
        continue;
      }
      path.pop();
      const parent = path.at(-1)?.node;
      if (parent) low.set(parent, Math.min(low.get(parent)!, low.get(top.node)!));
      if (low.get(top.node) !== index.get(top.node)) continue;
      const circle = open.splice(open.lastIndexOf(top.node));
      for (const node of circle) isOpen.delete(node);
      if (circle.length > 1) found.push(circle);
    }
  }
  return found;
}
