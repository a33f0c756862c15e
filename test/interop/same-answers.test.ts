/**
 * The same requests, byte by byte, to Ottla and to Apache Kafka, in every version that both serve: the answers must be the same
 * but for what differs from run to run. What may differ besides stands in same-answers/known-differences.ts, with the reason.
 * `SAME_ANSWERS=Fetch npm run interop -- test/interop/same-answers.test.ts` runs the scenarios whose name holds that word.
 */
import assert from 'node:assert/strict';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';
import { describeDifferences, differencesOf } from './same-answers/differences.ts';
import { isKnown } from './same-answers/known-differences.ts';
import { Probe } from './same-answers/probe.ts';
import { scenarios } from './same-answers/scenarios/index.ts';
import { restartScenarios } from './same-answers/scenarios/restart.ts';
import { brokerProperties, type Scenario } from './same-answers/scenarios/scenario.ts';
import { TargetNode, targets } from './targets/node.ts';

const wanted = process.env['SAME_ANSWERS'] ?? '';
const both = targets.includes('kafka') && targets.includes('ottla');

describe('same answers', { skip: both ? false : 'needs both targets' }, () => {
  const nodes: TargetNode[] = [];
  const probes: Probe[] = [];

  before(async () => {
    nodes.push(...(await TargetNode.createEach(['kafka', 'ottla'], brokerProperties)));
    probes.push(...nodes.map((node) => new Probe(node)));
  });
  after(async () => {
    for (const probe of probes) probe.closeAll();
    for (const node of nodes) await node.destroy();
  });

  for (const scenario of scenarios.filter(({ name }) => name.includes(wanted))) test(scenario.name, () => compare(scenario));

  for (const scenario of wanted === '' ? restartScenarios : []) {
    test(scenario.name, async () => {
      await Promise.all(nodes.map((node) => node.stop().then(() => node.start())));
      await compare(scenario);
    });
  }

  async function compare({ name, run }: Scenario): Promise<void> {
    const runs = probes.map(async (probe) => {
      probe.begin(name);
      await run(probe);
    });
    await Promise.allSettled(runs); // the next scenario must not find one of them still at work
    await Promise.all(runs);
    const [kafka, ottla] = probes.map((probe) => probe.take());
    assert.ok(kafka!.length > 0, 'nothing was asked');
    const differences = differencesOf(kafka!, ottla!).filter((difference) => !isKnown(difference));
    assert.equal(
      differences.length,
      0,
      `${differences.length} differences in ${kafka!.length} answers\n${describeDifferences(differences)}`,
    );
  }
});
