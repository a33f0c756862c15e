/**
 * Loaded before every test file: property tests draw from one seed, so that a run can be repeated and a change is judged by itself.
 * `PROPERTY_SEED=random npm test` looks for what this seed does not find; a failure prints the seed that replays it.
 */
import process from 'node:process';
import fc from 'fast-check';

const asked = process.env['PROPERTY_SEED'] ?? '20261121';
if (asked !== 'random') fc.configureGlobal({ seed: Number(asked) });
