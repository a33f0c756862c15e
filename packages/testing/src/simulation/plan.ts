/** A run of the simulator as data: who is there, what clients do, what goes wrong and when. It can be printed, repeated and made shorter. */
import type { SeededRandom } from '@ottla/runtime';

export type Role = 'broker' | 'controller';

export type NodePlan = { readonly id: number; readonly roles: readonly Role[] };

export type TopicPlan = {
  readonly name: string;
  readonly partitions: number;
  readonly configs: Readonly<Record<string, string>>;
};

/** One client, on a machine of its own. What it decides comes from its name, so leaving one out changes nothing for the others. */
export type ClientPlan = {
  readonly name: string;
  readonly kind: 'producer' | 'transactions' | 'pipeline' | 'reader' | 'group' | 'modernGroup' | 'share';
  /** Between one thing and the next. */
  readonly everyMs: number;
  /** Of all but producers and readers. */
  readonly group?: string;
  /** Of transactions, when it is not the name. */
  readonly transactionalId?: string;
};

/** Something that happens to the cluster, from outside. Those with `forMs` or `downMs` end by themselves. */
export type Happening =
  | { readonly do: 'kill'; readonly node: number; readonly downMs: number }
  | { readonly do: 'killAll'; readonly downMs: number }
  | { readonly do: 'restart'; readonly node: number; readonly downMs: number }
  | { readonly do: 'rollingRestart'; readonly downMs: number }
  | { readonly do: 'powerCut'; readonly node: number; readonly downMs: number }
  /** The power fails for all nodes that are controllers and nothing else. */
  | { readonly do: 'blackout'; readonly downMs: number }
  /** The power fails just after it has written down that it voted, or what epoch it is in. */
  | { readonly do: 'crashVoter'; readonly node: number; readonly afterMs: number; readonly downMs: number }
  | { readonly do: 'pause'; readonly node: number; readonly forMs: number }
  | { readonly do: 'cut'; readonly from: string; readonly to: string; readonly oneWay: boolean; readonly forMs: number }
  | { readonly do: 'isolate'; readonly node: number; readonly from: 'all' | 'nodes'; readonly forMs: number }
  | { readonly do: 'loss'; readonly from: string; readonly to: string; readonly rate: number; readonly forMs: number }
  | {
      readonly do: 'latency';
      readonly from: string;
      readonly to: string;
      readonly ms: number;
      readonly oneWay?: boolean;
      readonly forMs: number;
    }
  | { readonly do: 'resetConnections'; readonly one: string; readonly other: string }
  | { readonly do: 'halfOpen'; readonly lost: string; readonly kept: string }
  | { readonly do: 'jumpClock'; readonly node: number; readonly ms: number }
  | { readonly do: 'driftClock'; readonly node: number; readonly rate: number; readonly forMs: number }
  | { readonly do: 'slowDisk'; readonly node: number; readonly syncMs: number; readonly forMs: number }
  | { readonly do: 'failDisk'; readonly node: number; readonly what: 'sync' | 'write'; readonly forMs: number }
  | { readonly do: 'fullDisk'; readonly node: number; readonly forMs: number }
  | { readonly do: 'flipBit'; readonly node: number; readonly pick: number }
  | { readonly do: 'createTopic'; readonly topic: TopicPlan }
  | { readonly do: 'deleteTopic'; readonly name: string }
  | { readonly do: 'configureTopic'; readonly name: string; readonly config: string; readonly value: string | null }
  | { readonly do: 'electPreferred' }
  | { readonly do: 'reassign'; readonly topic: string; readonly partition: number; readonly pick: number }
  | { readonly do: 'cancelReassignments' }
  | { readonly do: 'removeVoter'; readonly node: number }
  | { readonly do: 'addVoter'; readonly node: number };

export type Step = Happening & { readonly atMs: number };

export type Plan = {
  readonly seed: number;
  readonly nodes: readonly NodePlan[];
  readonly topics: readonly TopicPlan[];
  /** Settings of all nodes that this run varies. */
  readonly settings: Readonly<Record<string, string>>;
  readonly wires: { readonly maxLatencyMs: number; readonly fragmentation: number };
  readonly clients: readonly ClientPlan[];
  readonly steps: readonly Step[];
  /** How long clients work before everything is mended. */
  readonly workMs: number;
  /** Nodes that are killed, one after another, when everything is at rest, so that what others have of what they led is looked at. */
  readonly finale: readonly number[];
};

export const isBroker = ({ roles }: NodePlan): boolean => roles.includes('broker');
export const isController = ({ roles }: NodePlan): boolean => roles.includes('controller');

export const hostOf = (node: number): string => `n${node}`;

const combined: readonly Role[] = ['broker', 'controller'];
const nodes = (ids: readonly number[], roles: readonly Role[]): NodePlan[] => ids.map((id) => ({ id, roles }));

/** What clusters look like. */
export const shapes: Readonly<Record<string, readonly NodePlan[]>> = {
  single: nodes([1], combined),
  combined: nodes([1, 2, 3], combined),
  isolated: [...nodes([101, 102, 103], ['controller']), ...nodes([1, 2, 3], ['broker'])],
  large: [...nodes([1, 2, 3], combined), ...nodes([4, 5], ['broker'])],
};

export type PlanOptions = {
  /** Of `shapes`; one of those of several nodes unless given. */
  readonly shape?: keyof typeof shapes;
};

/** The plan of a seed. */
export function inventPlan(seed: number, random: SeededRandom, { shape }: PlanOptions = {}): Plan {
  const drawn = random.below(10);
  const chosen = shapes[shape ?? (drawn < 8 ? 'combined' : drawn < 9 ? 'isolated' : 'large')]!;
  const isSingle = chosen.length === 1;
  const workMs = 1_500 + random.below(4_000);
  const topics = inventTopics(random, isSingle);
  const plan = {
    seed,
    nodes: chosen,
    topics,
    settings: inventSettings(random),
    wires: { maxLatencyMs: [0.5, 2, 20][random.below(3)]!, fragmentation: random.chance(0.2) ? 0.3 : 0.02 },
    clients: inventClients(random),
    workMs,
    finale: random.chance(0.3) ? [oneOf(random, chosen.filter(isBroker)).id] : [],
  };
  const count = 1 + random.below(6);
  const steps: Step[] = Array.from({ length: count }, () => ({ atMs: random.below(workMs), ...inventHappening(random, plan) }));
  if (!isSingle && random.chance(0.7)) steps.push(...inventScene(random, plan));
  steps.sort((one, other) => one.atMs - other.atMs);
  return { ...plan, steps, workMs: Math.max(workMs, (steps.at(-1)?.atMs ?? 0) + 300) };
}

function inventTopics(random: SeededRandom, isSingle: boolean): TopicPlan[] {
  const minIsr = isSingle ? '1' : '2';
  const configs = (): Record<string, string> => ({
    'min.insync.replicas': minIsr,
    ...(random.chance(0.3) ? { 'segment.bytes': '1048576', 'internal.segment.bytes': String(800 + random.below(4000)) } : {}),
  });
  return ['one', 'two'].map((name) => ({ name, partitions: 1 + random.below(3), configs: configs() }));
}

function inventSettings(random: SeededRandom): Record<string, string> {
  return {
    ...(random.chance(0.3) ? { 'metadata.log.max.record.bytes.between.snapshots': '3000' } : {}),
    ...(random.chance(0.2) ? { 'controller.quorum.election.timeout.ms': '1000' } : {}),
    ...(random.chance(0.1) ? { 'replica.fetch.wait.max.ms': '50' } : {}),
    ...(random.chance(0.3) ? { 'replica.lag.time.max.ms': '600' } : {}),
  };
}

function inventClients(random: SeededRandom): ClientPlan[] {
  const every = () => 60 + random.below(200);
  const clients: ClientPlan[] = [{ name: 'producer1', kind: 'producer', everyMs: every() }];
  if (random.chance(0.5)) clients.push({ name: 'producer2', kind: 'producer', everyMs: every() });
  if (random.chance(0.7)) clients.push({ name: 'transactions1', kind: 'transactions', everyMs: every() });
  if (random.chance(0.4)) clients.push({ name: 'pipeline1', kind: 'pipeline', everyMs: every(), group: 'pipelines' });
  if (random.chance(0.6)) clients.push({ name: 'reader1', kind: 'reader', everyMs: every() });
  const members = random.below(3);
  for (let member = 1; member <= members; member++) {
    clients.push({ name: `member${member}`, kind: 'group', everyMs: every(), group: 'members' });
  }
  const modern = random.chance(0.4) ? 1 + random.below(2) : 0;
  for (let member = 1; member <= modern; member++) {
    clients.push({ name: `modern${member}`, kind: 'modernGroup', everyMs: every(), group: 'moderns' });
  }
  const sharers = random.chance(0.3) ? 1 + random.below(2) : 0;
  for (let member = 1; member <= sharers; member++) {
    clients.push({ name: `share${member}`, kind: 'share', everyMs: every(), group: 'sharers' });
  }
  return clients;
}

type Surroundings = Omit<Plan, 'steps'>;
type Invention = readonly [weight: number, invent: (random: SeededRandom, plan: Surroundings) => Happening];

const oneOf = <Item>(random: SeededRandom, items: readonly Item[]): Item => items[random.below(items.length)]!;
const anyNode = (random: SeededRandom, { nodes }: Surroundings): number => oneOf(random, nodes).id;
const downMs = (random: SeededRandom): number => (random.chance(0.5) ? 100 + random.below(600) : random.below(3_000));
const forMs = (random: SeededRandom): number => (random.chance(0.5) ? 100 + random.below(1_000) : random.below(3_500));

/** Two hosts; the second may be a client's. */
function twoHosts(random: SeededRandom, plan: Surroundings): { from: string; to: string } {
  const hosts = [...plan.nodes.map(({ id }) => hostOf(id)), ...plan.clients.map(({ name }) => name)];
  const [node, other] = [hostOf(anyNode(random, plan)), oneOf(random, hosts)];
  const away = other === node ? hosts.find((host) => host !== node)! : other;
  return random.chance(0.5) ? { from: node, to: away } : { from: away, to: node };
}

const inventions: readonly Invention[] = [
  [10, (random, plan) => ({ do: 'kill', node: anyNode(random, plan), downMs: downMs(random) })],
  [1, (random) => ({ do: 'killAll', downMs: downMs(random) })],
  [1, (random) => ({ do: 'blackout', downMs: downMs(random) })],
  [5, (random, plan) => ({ do: 'restart', node: anyNode(random, plan), downMs: downMs(random) })],
  [2, (random) => ({ do: 'rollingRestart', downMs: 100 + random.below(500) })],
  [8, (random, plan) => ({ do: 'powerCut', node: anyNode(random, plan), downMs: downMs(random) })],
  [
    2,
    (random, plan) => ({
      do: 'crashVoter',
      node: oneOf(random, plan.nodes.filter(isController)).id,
      afterMs: random.below(20),
      downMs: 50 + random.below(400),
    }),
  ],
  [6, (random, plan) => ({ do: 'pause', node: anyNode(random, plan), forMs: forMs(random) })],
  [6, (random, plan) => ({ do: 'cut', ...twoHosts(random, plan), oneWay: random.chance(0.5), forMs: forMs(random) })],
  [
    6,
    (random, plan) => ({
      do: 'isolate',
      node: anyNode(random, plan),
      from: random.chance(0.5) ? 'all' : 'nodes',
      forMs: forMs(random),
    }),
  ],
  [3, (random, plan) => ({ do: 'loss', ...twoHosts(random, plan), rate: oneOf(random, [0.1, 0.5, 1]), forMs: forMs(random) })],
  [3, (random, plan) => ({ do: 'latency', ...twoHosts(random, plan), ms: 20 + random.below(1_500), forMs: forMs(random) })],
  [
    3,
    (random, plan) => {
      const { from, to } = twoHosts(random, plan);
      return { do: 'resetConnections', one: from, other: to };
    },
  ],
  [
    2,
    (random, plan) => {
      const { from, to } = twoHosts(random, plan);
      return { do: 'halfOpen', lost: from, kept: to };
    },
  ],
  [2, (random, plan) => ({ do: 'jumpClock', node: anyNode(random, plan), ms: random.below(7_200_000) - 3_600_000 })],
  [1, (random, plan) => ({ do: 'driftClock', node: anyNode(random, plan), rate: 0.5 + random.fraction(), forMs: forMs(random) })],
  [4, (random, plan) => ({ do: 'slowDisk', node: anyNode(random, plan), syncMs: 20 + random.below(800), forMs: forMs(random) })],
  [
    2,
    (random, plan) => ({
      do: 'failDisk',
      node: anyNode(random, plan),
      what: random.chance(0.5) ? 'sync' : 'write',
      forMs: forMs(random),
    }),
  ],
  [1, (random, plan) => ({ do: 'fullDisk', node: anyNode(random, plan), forMs: forMs(random) })],
  [2, (random, plan) => ({ do: 'flipBit', node: anyNode(random, plan), pick: random.fraction() })],
  [3, () => ({ do: 'electPreferred' })],
  [
    4,
    (random, plan) => {
      const topic = oneOf(random, plan.topics);
      return { do: 'reassign', topic: topic.name, partition: random.below(topic.partitions), pick: random.fraction() };
    },
  ],
  [1, () => ({ do: 'cancelReassignments' })],
  [
    2,
    (random) => ({
      do: 'createTopic',
      topic: { name: `extra${random.below(3)}`, partitions: 1 + random.below(4), configs: {} },
    }),
  ],
  [1, (random) => ({ do: 'deleteTopic', name: `extra${random.below(3)}` })],
  [
    2,
    (random, plan) => ({
      do: 'configureTopic',
      name: oneOf(random, plan.topics).name,
      config: 'max.message.bytes',
      value: random.chance(0.3) ? null : String(100_000 + random.below(900_000)),
    }),
  ],
  [1, (random, plan) => ({ do: 'removeVoter', node: oneOf(random, plan.nodes.filter(isController)).id })],
  [1, (random, plan) => ({ do: 'addVoter', node: oneOf(random, plan.nodes.filter(isController)).id })],
];
const totalWeight = inventions.reduce((total, [weight]) => total + weight, 0);

function inventHappening(random: SeededRandom, plan: Surroundings): Happening {
  let at = random.below(totalWeight);
  for (const [weight, invent] of inventions) {
    if (at < weight) return invent(random, plan);
    at -= weight;
  }
  throw new Error('unreachable');
}

type Scene = (random: SeededRandom, plan: Surroundings) => Step[];

/** A node dies, or is taken out, in one of the ways there are. */
function fall(random: SeededRandom, node: number): Happening {
  const lasting = downMs(random);
  const ways: Happening[] = [
    { do: 'kill', node, downMs: lasting },
    { do: 'powerCut', node, downMs: lasting },
    { do: 'isolate', node, from: 'nodes', forMs: 600 + lasting },
    { do: 'pause', node, forMs: 600 + lasting },
    { do: 'restart', node, downMs: lasting },
  ];
  return oneOf(random, ways);
}

export const shuffled = (random: SeededRandom, ids: readonly number[]): number[] => {
  const left = [...ids];
  return Array.from(ids, () => left.splice(random.below(left.length), 1)[0]!);
};
const cutOff = (one: number, other: number, lasting: number): Happening => ({
  ...{ do: 'cut', from: hostOf(one), to: hostOf(other), oneWay: false, forMs: lasting },
});

/** Several things that belong together: what goes wrong in clusters is seldom one of them. Their moments are counted from the first. */
const scenes: readonly Scene[] = [
  // A leader dies while one follower is behind it, and another is not.
  (random, { nodes }) => {
    const [leader, follower] = shuffled(random, brokersOf(nodes)) as [number, number];
    const ms = 30 + random.below(600);
    return [
      { atMs: 0, do: 'latency', from: hostOf(leader), to: hostOf(follower), ms, forMs: 1_500 },
      { atMs: 150 + random.below(900), ...fall(random, leader) },
    ];
  },
  // A leader loses its followers one after the other, and then dies.
  (random, { nodes }) => {
    const [leader, ...others] = shuffled(random, brokersOf(nodes)) as [number, ...number[]];
    const apart = 700 + random.below(900);
    const untilMs = apart * others.length + random.below(800);
    return [
      ...others.map((other, index) => ({ atMs: index * apart, ...cutOff(leader, other, untilMs + 200 - index * apart) })),
      { atMs: untilMs, ...fall(random, leader) },
    ];
  },
  // Nobody decides while a follower stands still.
  (random, { nodes }) => {
    const follower = oneOf(random, brokersOf(nodes));
    const controller = oneOf(random, controllersOf(nodes));
    return [
      { atMs: 0, do: 'pause', node: follower, forMs: 700 + random.below(2_000) },
      { atMs: random.below(700), ...fall(random, controller) },
    ];
  },
  // A node is away, comes back with what it missed, and at that moment another one falls.
  (random, { nodes }) => {
    const [absent, other] = shuffled(random, allOf(nodes)) as [number, number];
    const forMs = 300 + random.below(1_500);
    return [
      { atMs: 0, do: 'isolate', node: absent, from: 'nodes', forMs },
      { atMs: forMs - 100 + random.below(300), ...fall(random, other) },
    ];
  },
  // Voters lose power with what they have just written down, in elections that follow each other.
  (random, { nodes }) => {
    const [first, second, third] = shuffled(random, controllersOf(nodes)) as [number, number, number];
    const crash = { do: 'crashVoter' as const, downMs: 50 + random.below(200) };
    return [
      { atMs: 0, ...crash, node: first, afterMs: random.below(25) },
      { atMs: 0, ...crash, node: second, afterMs: random.below(25) },
      { atMs: 50, ...fall(random, third) },
      { atMs: 900 + random.below(600), ...fall(random, first) },
    ];
  },
  // A node loses power, and is back before anybody has missed it.
  (random, { nodes }) => {
    const [one, other] = shuffled(random, allOf(nodes)) as [number, number];
    return [
      { atMs: 0, do: 'powerCut', node: one, downMs: 20 + random.below(200) },
      { atMs: 100 + random.below(900), ...fall(random, other) },
    ];
  },
  // All leaders move, twice.
  (random, { nodes }) => {
    const [one, other] = shuffled(random, brokersOf(nodes)) as [number, number];
    return [
      { atMs: 0, ...fall(random, one) },
      { atMs: 700 + random.below(1_500), ...fall(random, other) },
    ];
  },
];

const allOf = (nodes: readonly NodePlan[]): number[] => nodes.map(({ id }) => id);
const brokersOf = (nodes: readonly NodePlan[]): number[] => allOf(nodes.filter(isBroker));
const controllersOf = (nodes: readonly NodePlan[]): number[] => allOf(nodes.filter(isController));

function inventScene(random: SeededRandom, plan: Surroundings): Step[] {
  const fromMs = 200 + random.below(1_000);
  return oneOf(random, scenes)(random, plan).map((step) => ({ ...step, atMs: fromMs + step.atMs }));
}

/** For a person to read, and to run again. */
export function tellPlan({ seed, nodes, topics, settings, wires, clients, steps, workMs }: Plan): string {
  return [
    `seed ${seed}: ${nodes.map(({ id, roles }) => `${id} ${roles.join('+')}`).join(', ')}`,
    `topics ${JSON.stringify(topics)}`,
    `settings ${JSON.stringify(settings)}, wires ${JSON.stringify(wires)}, ${workMs} ms`,
    ...clients.map((client) => `  ${JSON.stringify(client)},`),
    ...steps.map((step) => `  ${JSON.stringify(step)},`),
  ].join('\n');
}
