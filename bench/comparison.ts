/** One line of a comparison: medians with their spread, and the ratio of the medians. */
export function comparison(
  what: string,
  unit: string,
  { ottla, kafka }: { ottla: readonly number[]; kafka: readonly number[] },
): string {
  const [ours, theirs] = [spread(ottla), spread(kafka)];
  const ratio = (ours.median / theirs.median).toFixed(2);
  return `${what.padEnd(34)}${shown(ours, unit).padEnd(34)}${shown(theirs, unit).padEnd(38)}ratio ${ratio}`;
}

type Spread = { readonly least: number; readonly median: number; readonly most: number };

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  return { least: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]!, most: sorted.at(-1)! };
}

function shown({ least, median, most }: Spread, unit: string): string {
  return `${Math.round(median)} ${unit} (${Math.round(least)}..${Math.round(most)})`;
}
