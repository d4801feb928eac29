// Drives a running host with the unmodified @backstage/catalog-client, as a Backstage frontend or plugin would.
//
//   BASE_URL         the catalog's mount, such as http://127.0.0.1:7007/tenants/default/api/catalog
//   TOKEN            a token with the scopes read and write
//   LOCATION_TARGET  a URL the host may read, which holds at least one valid entity and is not registered yet
//
// The catalog must be settled and hold entities. Prints one JSON line per check and exits with 1 at the first failure, whose
// line says what was expected. It is not a test of the client: what the client hides (headers, `Link`, statuses it folds)
// is tested in Rust.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { CATALOG_FILTER_EXISTS, CatalogClient } from '@backstage/catalog-client';

const { BASE_URL, TOKEN, LOCATION_TARGET } = process.env;
for (const [name, value] of Object.entries({ BASE_URL, TOKEN, LOCATION_TARGET })) {
  if (!value) {
    console.error(`client.mjs: set ${name}`);
    process.exit(2);
  }
}

const PAGE = 3;
const SETTLE_MS = 60_000;

const client = new CatalogClient({ discoveryApi: { getBaseUrl: async () => BASE_URL } });
const options = { token: TOKEN };

const refOf = entity =>
  `${entity.kind}:${entity.metadata.namespace ?? 'default'}/${entity.metadata.name}`.toLowerCase();

async function check(name, body) {
  try {
    const facts = await body();
    console.log(JSON.stringify({ check: name, ok: true, ...facts }));
  } catch (error) {
    const cause = error.body ?? error.cause?.message;
    console.log(JSON.stringify({ check: name, ok: false, message: error.message, cause }));
    process.exit(1);
  }
}

// Work of the worker is seen by asking again; a host that never settles fails the check.
async function eventually(what, ask) {
  const deadline = Date.now() + SETTLE_MS;
  for (;;) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`${what} did not happen within ${SETTLE_MS / 1000} s`);
    }
    await delay(50);
  }
}

let all = [];

await check('getEntities', async () => {
  ({ items: all } = await client.getEntities({}, options));
  assert.ok(all.length > 2 * PAGE, `at least ${2 * PAGE + 1} entities are served, found ${all.length}`);
  for (const entity of all) {
    assert.ok(entity.metadata.uid && entity.metadata.etag, `${refOf(entity)} has a uid and an etag`);
    assert.ok(Array.isArray(entity.relations), `${refOf(entity)} has relations`);
  }
  const refs = new Set(all.map(refOf));
  assert.equal(refs.size, all.length, 'no entity is listed twice');
  return { count: all.length };
});

await check('getEntities with filter', async () => {
  const kind = all[0].kind;
  const wanted = all.filter(entity => entity.kind === kind).map(refOf).sort();
  const byKind = await client.getEntities({ filter: { kind: kind.toUpperCase() } }, options);
  assert.deepEqual(byKind.items.map(refOf).sort(), wanted, 'kind is compared without case');

  const either = await client.getEntities({ filter: [{ kind }, { kind: 'no-such-kind' }] }, options);
  assert.deepEqual(either.items.map(refOf).sort(), wanted, 'several filters are alternatives');

  const owned = await client.getEntities({ filter: { kind, 'spec.owner': CATALOG_FILTER_EXISTS } }, options);
  assert.deepEqual(
    owned.items.map(refOf).sort(),
    all.filter(entity => entity.kind === kind && entity.spec?.owner !== undefined).map(refOf).sort(),
    'a bare key means that it exists',
  );

  const none = await client.getEntities({ filter: { kind, 'metadata.name': 'no-such-name' } }, options);
  assert.deepEqual(none.items, [], 'keys of one filter are all required');
  return { kind, count: wanted.length };
});

await check('getEntities with fields', async () => {
  const { items } = await client.getEntities({ fields: ['kind', 'metadata.name'] }, options);
  assert.equal(items.length, all.length);
  for (const entity of items) {
    assert.deepEqual(Object.keys(entity).sort(), ['kind', 'metadata']);
    assert.deepEqual(Object.keys(entity.metadata), ['name']);
  }
});

for (const [name, initial] of [
  ['queryEntities by filter', { filter: { kind: CATALOG_FILTER_EXISTS } }],
  ['queryEntities by predicate', { query: { kind: { $exists: true } } }],
]) {
  await check(name, async () => {
    const request = { ...initial, limit: PAGE, orderFields: [{ field: 'metadata.name', order: 'asc' }] };
    const pages = [];
    let page = await client.queryEntities(request, options);
    assert.equal(page.totalItems, all.length, 'the first page counts all');
    assert.equal(page.pageInfo.prevCursor, undefined, 'nothing is before the first page');
    pages.push(page);
    while (page.pageInfo.nextCursor) {
      page = await client.queryEntities({ cursor: page.pageInfo.nextCursor, limit: PAGE }, options);
      assert.equal(page.totalItems, all.length, 'the total is carried by the cursor');
      pages.push(page);
      assert.ok(pages.length <= all.length, 'paging forward ends');
    }
    const forward = pages.flatMap(({ items }) => items.map(refOf));
    assert.deepEqual([...forward].sort(), all.map(refOf).sort(), 'paging forward meets every entity once');

    const backward = pages.at(-1).items.map(refOf);
    let steps = 0;
    while (page.pageInfo.prevCursor) {
      page = await client.queryEntities({ cursor: page.pageInfo.prevCursor, limit: PAGE }, options);
      backward.unshift(...page.items.map(refOf));
      assert.ok(page.pageInfo.nextCursor, 'after a page backward there is a next one');
      steps += 1;
      assert.ok(steps <= all.length, 'paging backward ends');
    }
    assert.deepEqual(backward, forward, 'paging backward meets the same entities in the same order');
    return { pages: pages.length };
  });
}

await check('queryEntities with full text', async () => {
  const term = all[0].metadata.name.toUpperCase();
  const { items, totalItems } = await client.queryEntities(
    { limit: 1000, fullTextFilter: { term, fields: ['metadata.name'] } },
    options,
  );
  const wanted = all.filter(({ metadata }) => metadata.name.toUpperCase().includes(term)).map(refOf).sort();
  assert.deepEqual(items.map(refOf).sort(), wanted);
  assert.equal(totalItems, wanted.length);
});

await check('streamEntities', async () => {
  const seen = [];
  for await (const items of client.streamEntities({ pageSize: PAGE }, options)) {
    seen.push(...[items].flat().map(refOf));
  }
  assert.deepEqual(seen.sort(), all.map(refOf).sort());
});

await check('getEntityFacets', async () => {
  const { facets } = await client.getEntityFacets({ facets: ['kind', 'no.such.key'] }, options);
  const counted = {};
  for (const { kind } of all) {
    counted[kind] = (counted[kind] ?? 0) + 1;
  }
  assert.deepEqual(Object.fromEntries(facets.kind.map(({ value, count }) => [value, count])), counted);
  assert.deepEqual(facets['no.such.key'], []);
});

await check('getEntityByRef', async () => {
  const hit = await client.getEntityByRef(refOf(all[0]).toUpperCase(), options);
  assert.equal(hit.metadata.uid, all[0].metadata.uid, 'a ref is compared without case');
  assert.equal(await client.getEntityByRef('component:default/no-such-entity', options), undefined);
});

await check('getEntitiesByRefs', async () => {
  const entityRefs = [refOf(all[1]), 'component:default/no-such-entity', refOf(all[0])];
  const { items } = await client.getEntitiesByRefs({ entityRefs }, options);
  assert.deepEqual(
    items.map(entity => entity && refOf(entity)),
    [entityRefs[0], undefined, entityRefs[2]],
    'one item for each ref, in their order',
  );
});

await check('getEntityAncestors', async () => {
  const wanted = refOf(all[0]);
  const { rootEntityRef, items } = await client.getEntityAncestors({ entityRef: wanted }, options);
  assert.equal(rootEntityRef, wanted);
  assert.equal(refOf(items[0].entity), wanted);
});

await check('refreshEntity', async () => {
  await client.refreshEntity(refOf(all[0]), options);
  await assert.rejects(
    client.refreshEntity('component:default/no-such-entity', options),
    error => error.statusCode === 404 && error.cause.name === 'NotFoundError',
    'an unknown entity is NotFoundError',
  );
});

await check('validateEntity', async () => {
  const entity = {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Component',
    metadata: { name: 'checked-only' },
    spec: { type: 'service', lifecycle: 'production', owner: 'nobody' },
  };
  const good = await client.validateEntity(entity, 'url:https://example.org/catalog-info.yaml', options);
  assert.deepEqual(good, { valid: true });
  const { lifecycle, ...spec } = entity.spec;
  const bad = await client.validateEntity({ ...entity, spec }, 'url:https://example.org/catalog-info.yaml', options);
  assert.equal(bad.valid, false);
  assert.match(JSON.stringify(bad.errors), /lifecycle/, 'the error names what is missing');
  assert.equal(await client.getEntityByRef('component:default/checked-only', options), undefined, 'nothing was stored');
});

let dryRun;

await check('addLocation, dry run', async () => {
  dryRun = await client.addLocation({ target: LOCATION_TARGET, dryRun: true }, options);
  assert.equal(dryRun.exists, false);
  assert.equal(dryRun.location.target, LOCATION_TARGET);
  assert.ok(dryRun.entities.length > 0, 'the entities behind the target are shown');
  assert.equal(await client.getLocationByRef(`url:${LOCATION_TARGET}`, options), undefined, 'nothing was registered');
  return { entities: dryRun.entities.map(refOf) };
});

let location;

await check('addLocation', async () => {
  ({ location } = await client.addLocation({ type: 'url', target: LOCATION_TARGET }, options));
  assert.ok(location.id);
  assert.equal(location.type, 'url');
  assert.equal(location.target, LOCATION_TARGET);
  await assert.rejects(
    client.addLocation({ type: 'url', target: LOCATION_TARGET }, options),
    error => error.statusCode === 409 && error.cause.name === 'ConflictError',
    'the same location again is ConflictError',
  );
  for (const entity of dryRun.entities) {
    await eventually(`serving ${refOf(entity)}`, () => client.getEntityByRef(refOf(entity), options));
  }
});

await check('getLocationById', async () => {
  const found = await client.getLocationById(location.id, options);
  assert.equal(found.target, LOCATION_TARGET);
  assert.equal(await client.getLocationById('00000000-0000-4000-8000-000000000000', options), undefined);
});

await check('getLocationByRef', async () => {
  const found = await client.getLocationByRef(`url:${LOCATION_TARGET}`, options);
  assert.equal(found?.id, location.id);
});

await check('getLocationByEntity', async () => {
  const child = dryRun.entities.find(({ kind }) => kind !== 'Location') ?? dryRun.entities[0];
  const found = await client.getLocationByEntity(refOf(child), options);
  assert.equal(found?.id, location.id);
});

await check('removeLocationById', async () => {
  await client.removeLocationById(location.id, options);
  assert.equal(await client.getLocationById(location.id, options), undefined);
  for (const entity of dryRun.entities) {
    assert.equal(await client.getEntityByRef(refOf(entity), options), undefined, `${refOf(entity)} went with it`);
  }
  const { items } = await client.getEntities({}, options);
  assert.deepEqual(items.map(refOf).sort(), all.map(refOf).sort(), 'what was there before is what is left');
  await assert.rejects(
    client.removeLocationById(location.id, options),
    error => error.statusCode === 404,
    'removing it again is a 404',
  );
});
