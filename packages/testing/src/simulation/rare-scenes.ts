/**
 * Scenes that need so much to come together that chance does not bring them about, and that whatever else happens would spoil. They are drawn
 * from a stream of their own and take the place of the steps of a plan that is there already, so plans without one do not depend on them.
 */
import type { SeededRandom } from '@ottla/runtime';
import { type ClientPlan, hostOf, isBroker, type NodePlan, type Plan, type Step, shapes, shuffled } from './plan.ts';

/** What becomes of a plan. Moments are counted from the beginning of the scene. */
type RareScene = {
  readonly steps: readonly Step[];
  /** In place of those of the plan. */
  readonly nodes?: readonly NodePlan[];
  readonly clients?: readonly ClientPlan[];
  readonly settings?: Readonly<Record<string, string>>;
  /** Before it is over nothing is mended. */
  readonly lastingMs: number;
};

type Invent = (random: SeededRandom, plan: Plan) => RareScene;

/** That many plans have a rare scene. */
const rate = 0.12;

/** The plan, or the plan with a rare scene; a single node never has one. */
export function withRareScene(plan: Plan, random: SeededRandom): Plan {
  if (!random.chance(rate) || plan.nodes.filter(isBroker).length < 3) return plan;
  const fromMs = 800 + random.below(700);
  const {
    steps,
    nodes = plan.nodes,
    clients = [],
    settings = {},
    lastingMs,
  } = rareScenes[random.below(rareScenes.length)]!(random, plan);
  return {
    ...plan,
    nodes,
    finale: plan.finale.filter((node) => nodes.some(({ id }) => id === node)),
    clients: [...plan.clients, ...clients],
    settings: { ...plan.settings, ...settings },
    steps: steps.map((step) => ({ ...step, atMs: fromMs + step.atMs })).sort((one, other) => one.atMs - other.atMs),
    workMs: fromMs + lastingMs,
  };
}

const threeBrokers = (random: SeededRandom, nodes: readonly NodePlan[]): [number, number, number] =>
  shuffled(
    random,
    nodes.filter(isBroker).map(({ id }) => id),
  ) as [number, number, number];

const rareScenes: readonly Invent[] = [
  // Who was away for so long that it is not in sync comes back, and all who are in sync are gone: nobody may lead.
  (random, { nodes }) => {
    const [absent, one, other] = threeBrokers(random, nodes);
    const forMs = 2_700 + random.below(600);
    return {
      steps: [
        { atMs: 0, do: 'isolate', node: absent, from: 'nodes', forMs },
        { atMs: forMs - 150, do: 'kill', node: one, downMs: 100 + random.below(200) },
        { atMs: forMs - 100, do: 'kill', node: other, downMs: 3_000 + random.below(1_500) },
      ],
      lastingMs: forMs + 4_800,
    };
  },
  // A follower loses power and what it had, and is back before the last fetch of its former life has reached the leader.
  (random, { clients }) => {
    // Neither of them is the controller, with which they go on talking as ever.
    const nodes = shapes.isolated!;
    const [follower, leader] = threeBrokers(random, nodes);
    const toLeader = { from: hostOf(follower), to: hostOf(leader) };
    return {
      nodes,
      settings: { 'broker.session.timeout.ms': '600', 'broker.heartbeat.interval.ms': '150' },
      steps: [
        // Else there would be more records by then, and that fetch would not ask for the newest.
        ...clients.map(({ name }): Step => ({ atMs: 0, do: 'cut', from: name, to: hostOf(leader), oneWay: false, forMs: 4_000 })),
        { atMs: 100, do: 'latency', ...toLeader, ms: 3_600, oneWay: true, forMs: 4_500 },
        { atMs: 700 + random.below(200), do: 'powerCut', node: follower, downMs: 20 + random.below(100) },
      ],
      lastingMs: 5_000,
    };
  },
  // Two programs have the same transactional id, and each takes it from the other one, which does not know that yet.
  (random, { nodes }) => {
    const [one, other] = threeBrokers(random, nodes);
    const twin = (name: string): ClientPlan => ({
      ...{ name, kind: 'transactions', everyMs: 40 + random.below(80), transactionalId: 'twins' },
    });
    const slow = (from: string, node: number): Step => ({
      ...{ atMs: random.below(500), do: 'latency', from, to: hostOf(node), ms: 100 + random.below(500), forMs: 2_500 },
    });
    return {
      clients: [twin('twin1'), twin('twin2')],
      steps: [slow('twin1', one), slow('twin2', other)],
      lastingMs: 3_500,
    };
  },
];
