/** What must hold whatever the other nodes send. If it does not, going on would spread the damage. */
export function assertHolds(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(`broken invariant: ${invariant}`);
}
