type Cell = string | number | null | undefined;

/** Columns as wide as they need to be, two spaces apart; those of numbers only stand to the right. Absent cells show as "-". */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => headings.map((_, column) => textOf(row[column])));
  const isNumeric = headings.map((_, column) => rows.length > 0 && rows.every((row) => typeof (row[column] ?? 0) === 'number'));
  const widths = headings.map((heading, column) => Math.max(heading.length, ...texts.map((row) => row[column]!.length)));
  return [headings, ...texts]
    .map((row) =>
      row
        .map((text, column) => (isNumeric[column] ? text.padStart(widths[column]!) : text.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function textOf(cell: Cell): string {
  return cell === null || cell === undefined || cell === '' ? '-' : String(cell);
}
