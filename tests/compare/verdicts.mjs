// Lets the live Backstage decide the known differences of the differential suite (tests/integration/node/differential): rows that
// say where the in-memory client is another than the backend it stands for. Here the backend itself is asked the same requests
// about the same entities, and what it answers must be what the suite expects of us.
//
// A row is decided by the requests in which it explains something. What docs/compatibility.md lists as another way of ours is
// left out, request by request (`OURS`), and a row that is about nothing else names it (`ours` in known.mjs).

import { isDeepStrictEqual } from 'node:util';
import { CatalogClient } from '@backstage/catalog-client';
import { ask } from '../integration/node/differential/ask.mjs';
import { makeEntities } from '../integration/node/differential/entities.mjs';
import { KNOWN } from '../integration/node/differential/known.mjs';
import { Oracle, refOf } from '../integration/node/differential/oracle.mjs';
import { Random } from '../integration/node/differential/random.mjs';
import { Requests, survey } from '../integration/node/differential/requests.mjs';
import { Unaskable } from '../integration/node/differential/sent.mjs';
import { shrink } from '../integration/node/differential/shrink.mjs';
import { until } from './waiting.mjs';

const SEED = Number(process.env.GREENROOM_SEED ?? 20_261_128);
const ENTITIES = 240;
// As many as make every row explain something.
const ENOUGH = 3_000;
const REQUESTS = Number(process.env.GREENROOM_REQUESTS ?? ENOUGH);
const SERVED_MS = 120_000;

export async function decide(side, comparison) {
  const random = new Random(SEED);
  const served = await load(side, makeEntities(random, ENTITIES));
  const client = new CatalogClient({ discoveryApi: { getBaseUrl: async () => side.base } });
  const oracle = new Oracle(served);
  const byRef = [...served].sort((left, right) => (refOf(left) < refOf(right) ? -1 : 1));
  const requests = new Requests(random, byRef);
  const decided = new Map(KNOWN.map(({ name }) => [name, 0]));
  for (let asked = 0; asked < REQUESTS; ) {
    const request = requests.next();
    const answer = await compare(oracle, client, side, request);
    if (!answer) continue;
    asked += 1;
    const ours = answer.equal ? undefined : oursOf(request.request, answer, served);
    if (answer.equal || ours?.sameOtherwise) {
      for (const name of answer.rows.filter(one => one !== ours?.contradicts)) decided.set(name, decided.get(name) + 1);
    } else if (!ours) {
      await report(oracle, client, side, request, comparison, served);
    }
  }
  for (const [row, uses] of usesOfOurs) {
    if (uses === 0 && REQUESTS >= ENOUGH) comparison.fail(`no generated query shows: ${row}`);
  }
  for (const { name, ours } of KNOWN) {
    const count = decided.get(name);
    if (ours === undefined && count === 0 && REQUESTS >= ENOUGH)
      comparison.fail(`the live Backstage was not asked of: ${name}`);
    else console.log(`decided ${name}: ${ours === undefined ? `Backstage answers so, ${count} times` : `ours, ${ours}`}`);
  }
}

// Has a provider push the entities; returns them as they are served.
async function load(side, entities) {
  const location = 'url:http://127.0.0.1/generated';
  const added = entities.map(entity => ({
    entity: {
      ...entity,
      metadata: {
        ...entity.metadata,
        annotations: {
          ...entity.metadata.annotations,
          'backstage.io/managed-by-location': location,
          'backstage.io/managed-by-origin-location': location,
        },
      },
    },
  }));
  for (const { data } of await side.get('/locations')) await side.ask({ method: 'DELETE', path: `/locations/${data.id}` });
  await side.push('second', { type: 'full', added: [] });
  await side.push('first', { type: 'full', added });
  const relations = items => items.reduce((sum, item) => sum + item.relations.length, 0);
  let before;
  const served = await until(async () => {
    const items = await side.get('/entities');
    // Relations come with the stitching of the other end; all of them are there when another look brings no more.
    const quiet = items.length === entities.length && before !== undefined && before === relations(items);
    before = relations(items);
    await new Promise(resolve => setTimeout(resolve, 3_000));
    return quiet ? items : undefined;
  }, SERVED_MS);
  if (!served) {
    const there = new Set((await side.get('/entities')).map(refOf));
    const wanted = entities.map(entity => refOf(entity));
    const strange = [...wanted.filter(ref => !there.has(ref)), ...[...there].filter(ref => !wanted.includes(ref))];
    throw new Error(`${side.name} does not serve the generated entities, or others: ${strange.join(', ')}`);
  }
  return served;
}

// Whether the backend answers as expected, and the rows without which the in-memory client would be right; `undefined` for a request
// that cannot be asked.
async function compare(oracle, client, side, request) {
  const before = new Map(oracle.uses);
  let expected;
  try {
    expected = await oracle.expect(request);
  } catch (error) {
    if (error instanceof Unaskable) return undefined;
    throw error;
  }
  const rows = [...oracle.uses].filter(([name, uses]) => uses > before.get(name)).map(([name]) => name);
  try {
    const found = await ask(client, request, { token: side.token });
    return { equal: isDeepStrictEqual(found, expected), rows, expected, found };
  } catch (error) {
    return { equal: false, refused: true, rows, expected, found: error.body?.error ?? error.message };
  }
}

async function report(oracle, client, side, request, comparison, served) {
  const first = await compare(oracle, client, side, request);
  const fails = async one => {
    try {
      const less = await compare(oracle, client, side, one);
      return less !== undefined && !less.equal && !less.refused === !first.refused && !oursOf(one.request, less, served);
    } catch {
      // What is left of the request means nothing.
      return false;
    }
  };
  const smallest = await shrink(request, fails);
  const answer = await compare(oracle, client, side, smallest);
  // Of entities the names say more than the bodies.
  const named = (key, value) => (value?.metadata?.uid ? refOf(value) : value);
  const short = value => JSON.stringify(value, named).slice(0, 1_000);
  comparison.fail(
    `the live Backstage: ${JSON.stringify(smallest)}\n  rows: ${answer.rows.join('; ')}\n` +
      `  expected ${short(answer.expected)}\n  found    ${short(answer.found)}`,
  );
}

// What Backstage answers otherwise where the way is ours, by the row of docs/compatibility.md. `served` are the entities asked about.
const OURS = [
  {
    row: 'full text with `%`, `_`, `\\`',
    when: ({ fullTextFilter }) => /[%_\\]/.test(fullTextFilter?.term ?? ''),
  },
  {
    row: '`fields` into a list or a text, or of what is inherited',
    when: ({ fields }) =>
      (fields ?? []).some(field => /(^|\.)(\d+|length|constructor|toString|__proto__)(\.|$)/.test(field)),
  },
  {
    row: 'several `order`s of a page, and a value that is null or long',
    when: ({ order }, _, served) =>
      Array.isArray(order) && order.length > 1 && order.some(({ field }) => hasUnstored(served, field)),
  },
  {
    row: 'order of values',
    // The answer decides all the same, but for the row that is about the order.
    sameOtherwise: true,
    contradicts: 'facets are ordered by value',
    when: ({ facets }, { expected, found }) => facets && isDeepStrictEqual(sorted(expected), sorted(found)),
  },
];

export const ROWS_OF_OURS = OURS.map(({ row }) => row);

const usesOfOurs = new Map(ROWS_OF_OURS.map(row => [row, 0]));

function oursOf(request, answer, served) {
  const found = OURS.find(({ when }) => when(request, answer, served));
  if (found) usesOfOurs.set(found.row, usesOfOurs.get(found.row) + 1);
  return found;
}

// Whether some entity has a value under a key that is null, or longer than what is stored.
function hasUnstored(served, key) {
  const values = [...survey(served)]
    .filter(([path]) => path.toLowerCase() === key.toLowerCase())
    .flatMap(([, found]) => found);
  return values.some(value => value === null || String(value).length > 200);
}

const sorted = facets =>
  Object.entries(facets).map(([facet, counts]) => [
    facet,
    [...counts].sort((left, right) => (left.value < right.value ? -1 : 1)),
  ]);
