// Collects what was compared: says of each comparison whether its differences are those expected of it, and at the end whether
// every expected difference occurred and every row of the document is accounted for.

import { isDeepStrictEqual } from 'node:util';
import { shown } from './difference.mjs';

// Anything may stand there.
export const ANY = Symbol('anything');
// Of every comparison.
export const EVERY = new RegExp('');

const fits = (pattern, text) => (pattern instanceof RegExp ? pattern.test(text) : pattern === text);

function matches(pattern, value) {
  if (pattern === ANY) return true;
  if (typeof pattern === 'function') return pattern(value);
  if (pattern instanceof RegExp) return typeof value === 'string' && pattern.test(value);
  return isDeepStrictEqual(pattern, value);
}

export class Comparison {
  #expected;
  #unshown;
  #rows;
  #decided;
  #uses;
  #compared = 0;
  #failures = [];

  // `expected`: `{row, at, path, backstage, greenroom}`; `unshown`: rows that no scenario shows, `{row, reason}`;
  // `decided`: rows shown by the queries that the live Backstage decides (`verdicts.mjs`).
  constructor({ expected, unshown, rows, decided }) {
    this.#expected = expected;
    this.#unshown = unshown;
    this.#rows = rows;
    this.#decided = decided;
    this.#uses = new Map(expected.map(one => [one, 0]));
  }

  // The expected difference that explains one, if there is one.
  #explanation(at, { path, backstage, greenroom }) {
    return this.#expected.find(
      one =>
        fits(one.at, at) && fits(one.path, path) && matches(one.backstage, backstage) && matches(one.greenroom, greenroom),
    );
  }

  // What of the differences nothing explains.
  unexplained(at, differences) {
    return differences.filter(difference => !this.#explanation(at, difference));
  }

  // Takes the differences of one comparison, and prints what they are.
  note(at, differences) {
    this.#compared += 1;
    const rows = new Set();
    for (const difference of differences) {
      const explanation = this.#explanation(at, difference);
      if (!explanation) continue;
      this.#uses.set(explanation, this.#uses.get(explanation) + 1);
      if (explanation.at !== EVERY) rows.add(explanation.row);
    }
    const left = this.unexplained(at, differences);
    if (left.length > 0) {
      this.fail(`${at}\n${left.map(shown).join('\n')}`);
    } else {
      console.log(rows.size === 0 ? `same   ${at}` : `known  ${at}: ${[...rows].join('; ')}`);
    }
  }

  fail(what) {
    this.#failures.push(what);
    console.log(`DIFFER ${what}`);
  }

  // Prints the end, and returns whether all was as it should be.
  finish() {
    for (const [one, uses] of this.#uses) {
      if (uses === 0) this.fail(`expected, and did not occur: ${one.at} ${one.path} (${one.row})`);
    }
    const shownRows = new Set([...this.#expected.map(({ row }) => row), ...this.#decided]);
    const named = [...shownRows, ...this.#unshown.map(({ row }) => row)];
    for (const row of named) {
      if (!this.#rows.includes(row)) this.fail(`docs/compatibility.md has no row \`${row}\``);
    }
    for (const row of this.#rows) {
      const count = named.filter(one => one === row).length;
      if (count === 0) this.fail(`nothing shows the row \`${row}\` of docs/compatibility.md, nor says why nothing does`);
      if (count > 1) this.fail(`the row \`${row}\` is shown, and is listed as one that cannot be`);
    }
    console.log();
    for (const { row, reason } of this.#unshown) console.log(`not shown: ${row}: ${reason}`);
    console.log();
    console.log(
      `${this.#compared} comparisons, ${shownRows.size} rows of docs/compatibility.md shown, ${this.#unshown.length} that cannot be, ` +
        `${this.#failures.length} failures`,
    );
    return this.#failures.length === 0;
  }
}
