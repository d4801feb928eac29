// The rows of docs/compatibility.md: what may differ. A row is named by the text of its first column, and something that is not
// there at all by its line in the list of such things.

import { readFileSync } from 'node:fs';

const DOCUMENT = new URL('../../docs/compatibility.md', import.meta.url);

export function readRows() {
  const text = readFileSync(DOCUMENT, 'utf8');
  const table = section(text, 'Where we differ on purpose')
    .split('\n')
    .filter(line => line.startsWith('| '))
    .slice(1)
    .map(line => line.split(' | ')[0].slice(2).trim())
    .filter(cell => !/^-+$/.test(cell));
  const missing = section(text, 'Not there')
    .split('\n')
    .filter(line => line.startsWith('- '))
    .map(line => line.slice(2).trim());
  const rows = [...table, ...missing];
  const twice = rows.find((row, at) => rows.indexOf(row) < at);
  if (rows.length === 0 || twice) throw new Error(`docs/compatibility.md has no table, or a row twice: ${twice}`);
  return rows;
}

function section(text, title) {
  const from = text.indexOf(`\n## ${title}\n`);
  if (from < 0) throw new Error(`docs/compatibility.md has no section \`${title}\``);
  const to = text.indexOf('\n## ', from + 1);
  return text.slice(from, to < 0 ? undefined : to);
}
