/** Small histories, each with one thing wrong that a check must find, beside the same without it. */
import assert from 'node:assert';
import { test } from 'node:test';
import { type AnomalyName, anomalies, isAllowed } from './anomalies.ts';
import { checkHistory } from './check-history.ts';
import type { HistoryEvent, Isolation, Seen, Step, Transaction } from './history.ts';

/** A story has a clock that moves with each event, and writes down the logs as they are in the end. */
class Story {
  readonly events: HistoryEvent[] = [];
  readonly logs = new Map<string, { value: string; offset: number; committed: boolean }[]>();
  #nowMs = 0;

  tick(): number {
    return ++this.#nowMs;
  }

  /** `a0`: value a at offset 0 of partition p-0; `q:a0` of partition q-0. */
  transaction(
    process: string,
    steps: string,
    outcome: Transaction['outcome'] = 'committed',
    more: Partial<Transaction> = {},
  ): void {
    const beganMs = this.tick();
    const parts: Step[] = steps.split(' ').map((word) => this.#step(word));
    const commitBeganMs = outcome === 'aborted' ? null : this.tick();
    const base = { type: 'transaction' as const, process, transactionalId: process.replace(/#.*/, ''), beganMs, commitBeganMs };
    this.events.push({ ...base, endedMs: this.tick(), outcome, steps: parts, ...more });
  }

  #step(word: string): Step {
    const [verb, rest] = word.split('=') as [string, string];
    if (verb === 'send') {
      const [partition, offset, value] = seen(rest);
      return { send: { partition, value, offset } };
    }
    if (verb === 'placed') return { placed: [`${rest}-0`] };
    if (verb === 'offsets') return { group: 'g', offsets: { 'p-0': Number(rest) } };
    return {
      poll: { isolation: 'read_committed', beganMs: this.tick(), endedMs: this.tick(), records: rest.split(',').map(seen) },
    };
  }

  poll(process: string, records: string, isolation: Isolation = 'read_committed'): void {
    const [beganMs, endedMs] = [this.tick(), this.tick()];
    this.events.push({ type: 'poll', process, isolation, beganMs, endedMs, records: records.split(',').map(seen) });
  }

  placed(process: string, partition: string): void {
    this.events.push({ type: 'placed', process, partitions: [`${partition}-0`] });
  }

  send(process: string, record: string): void {
    const [partition, offset, value] = seen(record);
    this.events.push({ type: 'send', process, partition, value, offset });
  }

  initialized(process: string): void {
    const [beganMs, endedMs] = [this.tick(), this.tick()];
    this.events.push({ type: 'initialized', process, transactionalId: process.replace(/#.*/, ''), beganMs, endedMs });
  }

  groupOffsets(next: number): void {
    this.events.push({ type: 'groupOffsets', group: 'g', offsets: { 'p-0': next } });
  }

  /** What a partition holds: `a0,b1`; those with a ! are not committed. */
  final(partition: string, records: string, ends?: Partial<Record<Isolation, number>>): void {
    const all = records.split(',').filter((word) => word !== '');
    for (const isolation of ['read_uncommitted', 'read_committed'] as const) {
      const shown = isolation === 'read_committed' ? all.filter((word) => !word.endsWith('!')) : all;
      const pairs = shown.map((word) => seen(word.replace('!', ''))).map(([, offset, value]) => [offset, value] as const);
      this.events.push({
        type: 'final',
        isolation,
        partition: `${partition}-0`,
        endOffset: ends?.[isolation] ?? 100,
        records: pairs,
      });
    }
  }
}

function seen(word: string): Seen {
  const [, partition = 'p', value, offset] = /^(?:(\w+):)?([a-z]+)(\d+)$/.exec(word)!;
  return [`${partition}-0`, Number(offset), value!];
}

type Tell = (story: Story) => unknown;

/** For each anomaly a story that has it, and one that differs from it in that only. */
const stories: Record<AnomalyName, { has: Tell; lacks: Tell }> = {
  'lost-write': {
    has: (s) => [s.transaction('w', 'send=a0 send=b1'), s.final('p', 'b1')],
    lacks: (s) => [s.transaction('w', 'send=a0 send=b1'), s.final('p', 'a0,b1')],
  },
  unseen: {
    has: (s) => [s.send('w', 'a0'), s.send('w', 'b1'), s.final('p', 'a0')],
    lacks: (s) => [s.send('w', 'a0'), s.send('w', 'b1'), s.final('p', 'a0,b1')],
  },
  duplicate: {
    has: (s) => [s.transaction('w', 'send=a0'), s.final('p', 'a0,a1')],
    lacks: (s) => [s.transaction('w', 'send=a0'), s.poll('r', 'a0'), s.poll('q', 'a0'), s.final('p', 'a0')],
  },
  'inconsistent-offsets': {
    has: (s) => [s.send('w', 'a0'), s.send('w', 'b1'), s.poll('r', 'a1'), s.final('p', 'a1')],
    lacks: (s) => [s.send('w', 'a0'), s.send('w', 'b1'), s.poll('r', 'a0'), s.final('p', 'a0,b1')],
  },
  'unknown-value': {
    has: (s) => [s.send('w', 'q:a0'), s.final('q', 'a0'), s.final('p', 'a0')],
    lacks: (s) => [s.send('w', 'q:a0'), s.final('q', 'a0'), s.final('p', '')],
  },
  'torn-transaction': {
    has: (s) => [s.transaction('w', 'send=a0 send=q:b0', 'unknown'), s.final('p', 'a0'), s.final('q', 'b0!')],
    lacks: (s) => [s.transaction('w', 'send=a0 send=q:b0', 'unknown'), s.final('p', 'a0!'), s.final('q', 'b0!')],
  },
  'nonmonotonic-send': {
    has: (s) => [s.send('w', 'a1'), s.send('w', 'b0'), s.final('p', 'b0,a1')],
    lacks: (s) => [s.send('w', 'a1'), s.send('v', 'b0'), s.final('p', 'b0,a1')],
  },
  'int-nonmonotonic-send': {
    has: (s) => [s.transaction('w', 'send=a1 send=b0'), s.final('p', 'b0,a1')],
    lacks: (s) => [s.transaction('w', 'send=a1 send=q:b0'), s.final('p', 'a1'), s.final('q', 'b0')],
  },
  'int-send-skip': {
    has: (s) => [s.transaction('w', 'send=a0 send=b2'), s.send('v', 'c1'), s.final('p', 'a0,c1,b2')],
    lacks: (s) => [s.transaction('w', 'send=a0 send=b2'), s.final('p', 'a0,b2')],
  },
  'unfenced-zombie': {
    has: (s) => [s.initialized('w#1'), s.initialized('w#2'), s.transaction('w#1', 'send=a0'), s.final('p', 'a0')],
    lacks: (s) => [s.initialized('w#1'), s.initialized('w#2'), s.transaction('w#1', 'send=a0', 'unknown'), s.final('p', 'a0!')],
  },
  'hanging-transaction': {
    has: (s) => [s.transaction('w', 'send=a0', 'aborted'), s.final('p', 'a0!', { read_committed: 0, read_uncommitted: 1 })],
    lacks: (s) => [s.transaction('w', 'send=a0', 'aborted'), s.final('p', 'a0!', { read_committed: 2, read_uncommitted: 2 })],
  },
  G1a: {
    has: (s) => [s.transaction('w', 'send=a0', 'aborted'), s.poll('r', 'a0'), s.final('p', 'a0!')],
    lacks: (s) => [s.transaction('w', 'send=a0', 'aborted'), s.poll('r', 'a0', 'read_uncommitted'), s.final('p', 'a0!')],
  },
  'precommitted-read': {
    has: (s) => [s.transaction('w', 'send=a0 poll=a0'), s.final('p', 'a0')],
    lacks: (s) => [s.transaction('w', 'send=a0'), s.transaction('w', 'poll=a0 send=b2'), s.final('p', 'a0,b2')],
  },
  'poll-skip': {
    has: (s) => [three(s), s.poll('r', 'a0'), s.poll('r', 'c2')],
    lacks: (s) => [three(s), s.poll('r', 'a0'), s.poll('r', 'b1'), s.poll('r', 'c2'), s.placed('r', 'p'), s.poll('r', 'a0')],
  },
  'int-poll-skip': {
    has: (s) => [three(s), s.poll('r', 'a0,c2')],
    lacks: (s) => [three(s), s.poll('r', 'a0,b1,c2')],
  },
  'nonmonotonic-poll': {
    has: (s) => [three(s), s.poll('r', 'a0,b1'), s.poll('r', 'b1')],
    lacks: (s) => [three(s), s.poll('r', 'a0,b1'), s.poll('r', 'c2')],
  },
  'int-nonmonotonic-poll': {
    has: (s) => [three(s), s.transaction('t', 'poll=a0,b1 poll=a0')],
    lacks: (s) => [three(s), s.transaction('t', 'poll=a0,b1 placed=p poll=a0')],
  },
  'placed-skip': {
    has: (s) => [three(s), s.poll('r', 'a0'), s.placed('r', 'p'), s.poll('r', 'c2')],
    lacks: (s) => [three(s), s.poll('r', 'a0'), s.placed('r', 'p'), s.poll('r', 'b1')],
  },
  'placed-back': {
    has: (s) => [three(s), s.poll('r', 'a0,b1'), s.placed('r', 'p'), s.poll('r', 'a0')],
    lacks: (s) => [three(s), s.poll('r', 'a0,b1'), s.placed('r', 'p'), s.poll('r', 'c2')],
  },
  G0: {
    has: (s) => [
      s.transaction('w', 'send=a0 send=q:b1'),
      s.transaction('v', 'send=c1 send=q:d0'),
      s.final('p', 'a0,c1'),
      s.final('q', 'd0,b1'),
    ],
    lacks: (s) => [
      s.transaction('w', 'send=a0 send=q:b0'),
      s.transaction('v', 'send=c1 send=q:d1'),
      s.final('p', 'a0,c1'),
      s.final('q', 'b0,d1'),
    ],
  },
  G1c: {
    has: (s) => [
      s.transaction('w', 'send=a0 poll=q:b0', 'committed', { commitBeganMs: 0 }),
      s.transaction('v', 'send=q:b0 poll=a0', 'committed', { commitBeganMs: 0 }),
      s.final('p', 'a0'),
      s.final('q', 'b0'),
    ],
    lacks: (s) => [
      s.transaction('w', 'send=a0'),
      s.transaction('v', 'send=q:b0 poll=a0'),
      s.final('p', 'a0'),
      s.final('q', 'b0'),
    ],
  },
  'processed-twice': {
    has: (s) => [three(s), s.transaction('t', 'poll=a0,b1 offsets=2'), s.transaction('u', 'poll=b1,c2 offsets=3')],
    lacks: (s) => [
      three(s),
      s.transaction('t', 'poll=a0,b1 offsets=2', 'aborted'),
      s.transaction('u', 'poll=a0,b1,c2 offsets=3'),
    ],
  },
  'processed-never': {
    has: (s) => [three(s), s.transaction('t', 'poll=a0 offsets=1'), s.transaction('u', 'poll=c2 offsets=3')],
    lacks: (s) => [three(s), s.transaction('t', 'poll=a0 offsets=1'), s.transaction('u', 'poll=b1,c2 offsets=3')],
  },
  'lost-offsets': {
    has: (s) => [three(s), s.transaction('t', 'poll=a0 offsets=1'), s.transaction('t', 'poll=b1 offsets=2'), s.groupOffsets(1)],
    lacks: (s) => [three(s), s.transaction('t', 'poll=a0 offsets=1'), s.transaction('t', 'poll=b1 offsets=2'), s.groupOffsets(2)],
  },
};

function three(story: Story): void {
  for (const record of ['a0', 'b1', 'c2']) story.send('w', record);
  story.final('p', 'a0,b1,c2');
}

function found(tell: Tell): Set<AnomalyName> {
  const story = new Story();
  tell(story);
  return new Set(checkHistory(story.events).all.map(({ name }) => name));
}

for (const [name, { has, lacks }] of Object.entries(stories) as [AnomalyName, { has: Tell; lacks: Tell }][]) {
  test(`${name} is found where it is, and not where it is not`, () => {
    assert.ok(found(has).has(name), `in the first there is only ${[...found(has)]}`);
    assert.deepEqual(
      [...found(lacks)].filter((other) => !isAllowed(other) || other === name),
      [],
    );
  });
}

test('what is allowed is said and not held against a history', () => {
  for (const [name, { has }] of Object.entries(stories) as [AnomalyName, { has: Tell; lacks: Tell }][]) {
    const story = new Story();
    has(story);
    assert.equal(
      checkHistory(story.events).forbidden.some((anomaly) => anomaly.name === name),
      !('allowed' in anomalies[name]),
    );
  }
});

test('a commit without an answer may have been one or not, as long as it is so in every partition', () => {
  for (const mark of ['', '!']) {
    const story = new Story();
    story.transaction('w', 'send=a0 send=q:b0', 'unknown');
    story.final('p', `a0${mark}`);
    story.final('q', `b0${mark}`);
    assert.deepEqual(checkHistory(story.events).all, []);
  }
});

test('a commit without an answer counts for its group when its results are there', () => {
  for (const mark of ['', '!']) {
    const story = new Story();
    three(story);
    story.transaction('t', 'poll=a0,b1 send=q:x0 offsets=2', 'unknown');
    story.transaction('u', 'poll=b1,c2 send=q:y1 offsets=3');
    story.final('q', `x0${mark},y1`);
    const names = checkHistory(story.events).forbidden.map(({ name }) => name);
    assert.deepEqual(names, mark === '' ? ['processed-twice'] : ['processed-never']);
  }
});
