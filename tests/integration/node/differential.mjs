// Asks a running host and the in-memory client of the same package the same questions about the same entities.
//
//   node differential.mjs entities   prints generated entities, one a line, to be given to the host
//   node differential.mjs requests   asks; prints one JSON line of what was compared, or of the smallest request that differs
//
//   SEED      what entities and requests are made from; the same seed makes the same
//   COUNT     how many of them
//   BASE_URL  the catalog's mount, such as http://127.0.0.1:7007/tenants/default/api/catalog (requests)
//   TOKEN     a token with the scope read (requests)
//
// The in-memory client is loaded with what the host serves, so the catalog must be settled. What the host must answer, and where
// the in-memory client is known to be another than the backend, is in `differential/`.

import { isDeepStrictEqual } from 'node:util';
import { CatalogClient } from '@backstage/catalog-client';
import { ask } from './differential/ask.mjs';
import { makeEntities } from './differential/entities.mjs';
import { Oracle, Unexplained, refOf } from './differential/oracle.mjs';
import { Random } from './differential/random.mjs';
import { Requests } from './differential/requests.mjs';
import { Unaskable } from './differential/sent.mjs';
import { shrink } from './differential/shrink.mjs';

const { SEED, COUNT, BASE_URL, TOKEN } = process.env;
const random = new Random(Number(SEED));
const count = Number(COUNT);

// What is different for a request; `undefined` if nothing is.
async function difference(oracle, client, asked) {
  const expected = await oracle.expect(asked);
  let found;
  try {
    found = await ask(client, asked, { token: TOKEN });
  } catch (error) {
    return { expected: 'an answer', found: error.body?.error ?? `${error.message}: ${error.cause?.message}` };
  }
  return isDeepStrictEqual(found, expected) ? undefined : { expected, found };
}

// The first place at which two answers differ, and what is there.
function firstPlace(expected, found, path = '') {
  const nested = value => typeof value === 'object' && value !== null;
  if (!nested(expected) || !nested(found)) return { path, expected, found };
  const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
  const key = keys.find(one => !isDeepStrictEqual(expected[one], found[one]));
  if (key === undefined) return { path, expected, found };
  // Of two entities, or of one where there is none, the names say more than the bodies.
  const names = [expected[key], found[key]].map(one => (one?.metadata?.uid ? `${refOf(one)} ${one.metadata.uid}` : one));
  if (names[0] !== names[1] && names.some(one => typeof one === 'string')) {
    return { path: `${path}/${key}`, expected: names[0], found: names[1] };
  }
  return firstPlace(expected[key], found[key], `${path}/${key}`);
}

async function compare() {
  const client = new CatalogClient({ discoveryApi: { getBaseUrl: async () => BASE_URL } });
  const { items: entities } = await client.getEntities({}, { token: TOKEN });
  const oracle = new Oracle(entities);
  // Uids are drawn by the host; the order of refs is the same in every run.
  const byRef = [...entities].sort((left, right) => (refOf(left) < refOf(right) ? -1 : 1));
  const requests = new Requests(random, byRef);
  let compared = 0;
  let unaskable = 0;
  while (compared < count) {
    const asked = requests.next();
    try {
      if ((await difference(oracle, client, asked)) === undefined) {
        compared += 1;
        continue;
      }
    } catch (error) {
      if (error instanceof Unaskable) {
        unaskable += 1;
        continue;
      }
      if (!(error instanceof Unexplained)) throw error;
    }
    await report(oracle, client, asked, compared);
    return 1;
  }
  const unused = [...oracle.uses].filter(([, uses]) => uses === 0).map(([name]) => name);
  console.log(
    JSON.stringify({
      seed: Number(SEED),
      entities: entities.length,
      compared,
      alike: oracle.alike,
      unaskable,
      known: Object.fromEntries(oracle.uses),
      unused,
    }),
  );
  return 0;
}

async function report(oracle, client, asked, compared) {
  // A smaller request must fail in the same way, not in any.
  const failure = async one => {
    try {
      const found = await difference(oracle, client, one);
      return found && { kind: 'answer', ...found };
    } catch (error) {
      return error instanceof Unexplained ? { kind: 'unexplained', found: error.message } : undefined;
    }
  };
  const { kind } = (await failure(asked)) ?? {};
  const smallest = await shrink(asked, async one => (await failure(one))?.kind === kind);
  const { expected, found } = (await failure(smallest)) ?? {};
  const place = kind === 'answer' ? firstPlace(expected, found) : found;
  console.log(JSON.stringify({ seed: Number(SEED), after: compared, differs: kind, smallest, place }, undefined, 2));
}

if (process.argv[2] === 'entities') {
  for (const entity of makeEntities(random, count)) console.log(JSON.stringify(entity));
} else {
  process.exitCode = await compare();
}
