import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ballot } from './ballot.ts';
import { simulatedVoter } from './testing/simulated-quorum.ts';
import { VoterSet } from './voter-set.ts';

const ballot = () => new Ballot(new VoterSet([1, 2, 3].map((id) => simulatedVoter(id))));

test('a no from before a voter stood itself is not counted, also when it was still on its way', () => {
  const heard = ballot();
  heard.reject(2);
  heard.askAgain(2);
  assert.equal(heard.hasVoted(2), false);
  heard.reject(2);
  assert.equal(heard.hasVoted(2), true);

  const onItsWay = ballot();
  onItsWay.askAgain(2);
  onItsWay.reject(2);
  assert.equal(onItsWay.hasVoted(2), false);
  onItsWay.reject(2);
  assert.equal(onItsWay.hasVoted(2), true);
});

test('a yes stays', () => {
  const won = ballot();
  won.grant(1);
  won.grant(2);
  won.askAgain(2);
  won.reject(2);
  assert.ok(won.isWon);
});
