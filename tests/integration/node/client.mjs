// Drives a running host with the unmodified @backstage/catalog-client, as a Backstage frontend or plugin would.
//
//   BASE_URL         the catalog's mount, such as http://127.0.0.1:7007/tenants/default/api/catalog
//   TOKEN            a token with the scopes read and write
//   READ_TOKEN       a token with the scope read alone
//   LOCATION_TARGET  a URL the host may read, which holds at least one valid entity and is not registered yet
//
// Every method of the client is called, with each of its interpretations of a status; the list of methods is read from the
// package's types, so that one which an upgrade adds fails the run until it is checked here.
//
// The catalog must be settled and hold entities. Prints one JSON line per check and exits with 1 at the first failure, whose
// line says what was expected. It is not a test of the client: what the client hides (headers, `Link`, statuses it folds)
// is tested in Rust.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CATALOG_FILTER_EXISTS, CatalogClient } from '@backstage/catalog-client';

const { BASE_URL, TOKEN, READ_TOKEN, LOCATION_TARGET } = process.env;
for (const [name, value] of Object.entries({ BASE_URL, TOKEN, READ_TOKEN, LOCATION_TARGET })) {
  if (!value) {
    console.error(`client.mjs: set ${name}`);
    process.exit(2);
  }
}

const PAGE = 3;
const SETTLE_MS = 60_000;

// Requests as the client sends them, newest last.
const sent = [];
const fetchNoting = async (url, init) => {
  sent.push({ method: init?.method ?? 'GET', url: String(url) });
  return fetch(url, init);
};

// Methods that were called.
const called = new Set();
const realClient = new CatalogClient({
  discoveryApi: { getBaseUrl: async () => BASE_URL },
  fetchApi: { fetch: fetchNoting },
});
const client = new Proxy(realClient, {
  get(target, name) {
    const method = target[name];
    if (typeof method !== 'function') return method;
    return (...values) => {
      called.add(name);
      return method.apply(target, values);
    };
  },
});
const options = { token: TOKEN };

// What the package's types promise: the methods of the interface and those of the class.
function promisedMethods() {
  const types = readFileSync(join(dirname(fileURLToPath(import.meta.resolve('@backstage/catalog-client'))), 'index.d.ts'), 'utf8');
  const body = head => {
    const from = types.indexOf(head);
    assert.ok(from >= 0, `the types declare \`${head}\``);
    return types.slice(from, types.indexOf('\n}', from));
  };
  const names = ['interface CatalogApi {', 'class CatalogClient implements CatalogApi {']
    .flatMap(head => [...body(head).matchAll(/^    (?!private|constructor)(\w+)\(/gm)])
    .map(([, name]) => name);
  assert.ok(names.length > 20, 'methods are found in the types');
  return [...new Set(names)].sort();
}

const failsWith = (statusCode, name) => error => {
  assert.equal(error.name, 'ResponseError', error.message);
  assert.equal(error.statusCode, statusCode);
  assert.equal(error.cause.name, name);
  assert.ok(error.cause.message, 'the cause says what is wrong');
  assert.equal(error.body.response.statusCode, statusCode, 'the body is an error body');
  return true;
};

async function collect(stream) {
  const found = [];
  for await (const items of stream) {
    found.push(...items);
  }
  return found;
}

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

for (const [name, request] of [
  ['streamEntities', {}],
  ['streamEntities by filter', { filter: { kind: CATALOG_FILTER_EXISTS } }],
  ['streamEntities by predicate', { query: { kind: { $exists: true } } }],
]) {
  await check(name, async () => {
    const pages = [];
    for await (const items of client.streamEntities({ ...request, pageSize: PAGE }, options)) {
      pages.push(items);
    }
    assert.deepEqual(pages.flat().map(refOf).sort(), all.map(refOf).sort());
    assert.ok(pages.slice(0, -1).every(items => items.length === PAGE), 'every page but the last is full');
    assert.deepEqual(await collect(client.streamEntities(request, options)).then(found => found.length), all.length, 'also in one page');
    return { pages: pages.length };
  });
}

await check('cursors are taken by both verbs', async () => {
  const first = await client.queryEntities({ limit: PAGE, filter: { kind: CATALOG_FILTER_EXISTS } }, options);
  assert.equal(sent.at(-1).method, 'GET');
  const cursor = first.pageInfo.nextCursor;
  const byPost = await client.queryEntities({ cursor, limit: PAGE }, options);
  assert.equal(sent.at(-1).method, 'POST', 'the client reads a cursor that holds a query, and posts it');
  const headers = { authorization: `Bearer ${TOKEN}` };
  const parameters = new URLSearchParams({ cursor, limit: PAGE });
  const byGet = await (await fetch(`${BASE_URL}/entities/by-query?${parameters}`, { headers })).json();
  assert.deepEqual(byGet, byPost);
  const posted = await client.queryEntities({ limit: PAGE, query: { kind: { $exists: true } } }, options);
  const ofPost = new URLSearchParams({ cursor: posted.pageInfo.nextCursor, limit: PAGE });
  const turned = await (await fetch(`${BASE_URL}/entities/by-query?${ofPost}`, { headers })).json();
  assert.deepEqual(turned.items, byPost.items, 'a cursor of POST is taken by GET');
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

await check('getEntityFacets by predicate', async () => {
  const query = { kind: all[0].kind };
  const { facets } = await client.getEntityFacets({ facets: ['kind'], query }, options);
  assert.equal(sent.at(-1).method, 'POST');
  const count = all.filter(({ kind }) => kind === all[0].kind).length;
  assert.deepEqual(facets.kind, [{ value: all[0].kind, count }]);
});

await check('getEntityByRef', async () => {
  const hit = await client.getEntityByRef(refOf(all[0]).toUpperCase(), options);
  assert.equal(hit.metadata.uid, all[0].metadata.uid, 'a ref is compared without case');
  assert.equal(await client.getEntityByRef('component:default/no-such-entity', options), undefined);
});

await check('getEntityByName', async () => {
  const { kind, metadata } = all[0];
  const hit = await client.getEntityByName({ kind, namespace: metadata.namespace, name: metadata.name }, options);
  assert.equal(hit.metadata.uid, metadata.uid);
  assert.equal(await client.getEntityByName({ kind, name: 'no-such-entity' }, options), undefined);
});

await check('getEntitiesByRefs', async () => {
  const entityRefs = [refOf(all[1]), 'component:default/no-such-entity', refOf(all[0])];
  const { items } = await client.getEntitiesByRefs({ entityRefs }, options);
  assert.deepEqual(
    items.map(entity => entity && refOf(entity)),
    [entityRefs[0], undefined, entityRefs[2]],
    'one item for each ref, in their order',
  );
  const query = { kind: all[0].kind };
  const filter = { 'metadata.name': all[0].metadata.name };
  const asked = await client.getEntitiesByRefs({ entityRefs, query, filter, fields: ['kind'] }, options);
  assert.deepEqual(asked.items, [undefined, undefined, { kind: all[0].kind }], 'what does not match is as what is not there');
  const many = Array.from({ length: 2500 }, (_, number) => (number === 2400 ? refOf(all[0]) : `component:default/none-${number}`));
  const chunks = await client.getEntitiesByRefs({ entityRefs: many }, options);
  assert.equal(chunks.items.length, many.length, 'more refs than one request takes');
  assert.equal(refOf(chunks.items[2400]), refOf(all[0]));
});

await check('getEntityAncestors', async () => {
  const wanted = refOf(all[0]);
  const { rootEntityRef, items } = await client.getEntityAncestors({ entityRef: wanted }, options);
  assert.equal(rootEntityRef, wanted);
  assert.equal(refOf(items[0].entity), wanted);
  await assert.rejects(
    client.getEntityAncestors({ entityRef: 'component:default/no-such-entity' }, options),
    failsWith(404, 'NotFoundError'),
    'no entity is an error here, not undefined',
  );
});

await check('refreshEntity', async () => {
  await client.refreshEntity(refOf(all[0]), options);
  await assert.rejects(
    client.refreshEntity('component:default/no-such-entity', options),
    failsWith(404, 'NotFoundError'),
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
  assert.ok(bad.errors.every(({ name, message }) => name && message));
  assert.match(JSON.stringify(bad.errors), /lifecycle/, 'the error names what is missing');
  assert.equal(await client.getEntityByRef('component:default/checked-only', options), undefined, 'nothing was stored');
});

let dryRun;

await check('addLocation, dry run', async () => {
  dryRun = await client.addLocation({ target: LOCATION_TARGET, dryRun: true }, options);
  assert.equal(dryRun.exists, false);
  assert.equal(dryRun.location.target, LOCATION_TARGET);
  assert.ok(dryRun.entities.length > 0, 'the entities behind the target are shown');
  const [generated] = dryRun.entities;
  assert.ok(!('presence' in generated.spec), 'its Location has no presence that nobody gave');
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
    failsWith(409, 'ConflictError'),
    'the same location again is ConflictError',
  );
  const again = await client.addLocation({ target: LOCATION_TARGET, onConflict: 'refresh' }, options);
  assert.equal(again.location.id, location.id, 'or the one that is there, if that is asked for');
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

await check('getLocations', async () => {
  const { items } = await client.getLocations({}, options);
  const { id, type, target } = items.find(one => one.id === location.id);
  assert.deepEqual({ id, type, target }, { id: location.id, type: 'url', target: LOCATION_TARGET });
});

// Registered beside the one that is there; nothing is behind them.
const more = ['a', 'b', 'c', 'd'].map(name => new URL(`/${name}/nothing.yaml`, LOCATION_TARGET).href);
const added = [];

await check('queryLocations', async () => {
  for (const target of more) {
    added.push((await client.addLocation({ target }, options)).location);
  }
  const everything = await client.queryLocations({}, options);
  const ids = everything.items.map(({ id }) => id);
  assert.deepEqual(ids, [...ids].sort(), 'they are ordered by id');
  assert.equal(everything.totalItems, more.length + 1);
  assert.deepEqual([...ids].sort(), [location, ...added].map(({ id }) => id).sort());
  assert.equal(everything.pageInfo.nextCursor, undefined);

  const paged = [];
  let page = await client.queryLocations({ limit: 2 }, options);
  for (;;) {
    paged.push(...page.items);
    assert.equal(page.totalItems, ids.length);
    if (!page.pageInfo.nextCursor) break;
    assert.equal(page.items.length, 2);
    page = await client.queryLocations({ cursor: page.pageInfo.nextCursor }, options);
  }
  assert.deepEqual(paged.map(({ id }) => id), ids);

  const only = async query => (await client.queryLocations({ query }, options)).items.map(({ target }) => target).sort();
  assert.deepEqual(await only({ target: more[0] }), [more[0]]);
  assert.deepEqual(await only({ target: { $in: more.slice(1) } }), more.slice(1));
  const prefix = new URL('/', LOCATION_TARGET).href.toUpperCase();
  assert.deepEqual(await only({ target: { $hasPrefix: prefix } }), [...more, LOCATION_TARGET].sort());
  assert.deepEqual(await only({ $not: { target: { $in: more } } }), [LOCATION_TARGET]);
  assert.deepEqual(await only({ type: 'file' }), []);
  await assert.rejects(client.queryLocations({ query: { presence: 'required' } }, options), failsWith(400, 'InputError'));
});

await check('streamLocations', async () => {
  const found = await collect(client.streamLocations({}, options));
  assert.deepEqual(found.map(({ id }) => id).sort(), [location, ...added].map(({ id }) => id).sort());
  assert.equal((await collect(client.streamLocations({ limit: 2 }, options))).length, found.length, 'also in several pages');
  assert.deepEqual(await collect(client.streamLocations({ query: { type: 'file' } }, options)), []);
});

await check('updateLocation', async () => {
  const target = new URL('/e/nothing.yaml', LOCATION_TARGET).href;
  const [first, second] = added;
  const updated = await client.updateLocation(first.id, { target }, options);
  assert.equal(updated.id, first.id);
  assert.equal(updated.target, target);
  assert.equal(updated.entityRef, first.entityRef, 'its entity keeps its name');
  assert.equal((await client.getLocationById(first.id, options)).target, target);
  await assert.rejects(client.updateLocation(first.id, { target: second.target }, options), failsWith(409, 'ConflictError'));
  await assert.rejects(
    client.updateLocation('00000000-0000-4000-8000-000000000000', { target: more[0] }, options),
    failsWith(404, 'NotFoundError'),
  );
});

await check('analyzeLocation', async () => {
  const target = 'https://github.com/example/some-service';
  const analysis = await client.analyzeLocation({ location: { type: 'url', target } }, options);
  const { existingEntityFiles, generateEntities } = analysis;
  assert.deepEqual(existingEntityFiles, []);
  const [{ entity, fields }] = generateEntities;
  assert.equal(entity.kind, 'Component');
  assert.equal(entity.metadata.name, 'some-service', 'a skeleton is named after the repository');
  assert.equal(entity.metadata.annotations['github.com/project-slug'], 'example/some-service');
  assert.ok(Array.isArray(fields));
  const nowhere = client.analyzeLocation({ location: { type: 'url', target: 'not a url' } }, options);
  await assert.rejects(nowhere, failsWith(400, 'InputError'));
});

await check('removeEntityByUid', async () => {
  const entityRef = refOf(dryRun.entities.find(({ kind }) => kind !== 'Location'));
  const { uid } = (await client.getEntityByRef(entityRef, options)).metadata;
  await client.removeEntityByUid(uid, options);
  const { items } = await client.getEntities({ filter: { 'metadata.uid': uid } }, options);
  assert.deepEqual(items, [], 'it is gone; one that its Location still declares comes back as another');
  await client.removeEntityByUid(uid, options);
  await client.removeEntityByUid('no-such-uid', options);
});

// Each method with arguments that would do.
const anyRef = refOf(all[0]);
const calls = {
  getEntities: given => client.getEntities({}, given),
  getEntitiesByRefs: given => client.getEntitiesByRefs({ entityRefs: [anyRef] }, given),
  queryEntities: given => client.queryEntities({}, given),
  streamEntities: given => collect(client.streamEntities({}, given)),
  getEntityAncestors: given => client.getEntityAncestors({ entityRef: anyRef }, given),
  getEntityByRef: given => client.getEntityByRef(anyRef, given),
  getEntityByName: given => client.getEntityByName({ kind: 'component', name: 'any' }, given),
  getEntityFacets: given => client.getEntityFacets({ facets: ['kind'] }, given),
  getLocations: given => client.getLocations({}, given),
  queryLocations: given => client.queryLocations({}, given),
  streamLocations: given => collect(client.streamLocations({}, given)),
  getLocationById: given => client.getLocationById(location.id, given),
  getLocationByRef: given => client.getLocationByRef(`url:${LOCATION_TARGET}`, given),
  getLocationByEntity: given => client.getLocationByEntity(anyRef, given),
  validateEntity: given => client.validateEntity(all[0], 'url:https://example.org/', given),
  analyzeLocation: given => client.analyzeLocation({ location: { type: 'url', target: LOCATION_TARGET } }, given),
  refreshEntity: given => client.refreshEntity(anyRef, given),
  addLocation: given => client.addLocation({ target: more[0] }, given),
  updateLocation: given => client.updateLocation(added[1].id, { target: more[0] }, given),
  removeLocationById: given => client.removeLocationById(added[1].id, given),
  removeEntityByUid: given => client.removeEntityByUid(all[0].metadata.uid, given),
};

await check('without credentials every method says so', async () => {
  assert.deepEqual(Object.keys(calls).sort(), promisedMethods(), 'every method of the types is called here');
  for (const [name, call] of Object.entries(calls)) {
    for (const given of [undefined, { token: 'no-such-token' }]) {
      await assert.rejects(call(given), failsWith(401, 'AuthenticationError'), `${name} with ${JSON.stringify(given)}`);
    }
  }
  return { methods: Object.keys(calls).length };
});

await check('a token that may only read does not write', async () => {
  for (const name of ['refreshEntity', 'addLocation', 'updateLocation', 'removeLocationById', 'removeEntityByUid']) {
    await assert.rejects(calls[name]({ token: READ_TOKEN }), failsWith(403, 'NotAllowedError'), name);
  }
  for (const name of ['getEntities', 'getEntityByRef', 'queryEntities', 'getLocations']) {
    await calls[name]({ token: READ_TOKEN });
  }
});

await check('wrong requests are InputError', async () => {
  const wrong = {
    'an `after` of nobody': () => client.getEntities({ after: 'nonsense' }, options),
    'a cursor of nobody, by GET': () => client.queryEntities({ cursor: 'nonsense' }, options),
    'a cursor of nobody, by POST': () => client.queryEntities({ cursor: btoa('{"query":1}') }, options),
    'an operator of nobody': () => client.queryEntities({ query: { kind: { $nothing: 1 } } }, options),
    'an operator of nobody, by refs': () => client.getEntitiesByRefs({ entityRefs: [anyRef], query: { $nothing: 1 } }, options),
    'an operator of nobody, for facets': () => client.getEntityFacets({ facets: ['kind'], query: { $nothing: 1 } }, options),
    'a filter without a key': () => client.getEntities({ filter: { '': 'x' } }, options),
    'a list item as a field': () => client.getEntities({ fields: ['metadata.tags[0]'] }, options),
    'a type that is not to be registered': () => client.addLocation({ type: 'file', target: '/etc/passwd' }, options),
  };
  for (const [what, call] of Object.entries(wrong)) {
    await assert.rejects(call(), failsWith(400, 'InputError'), what);
  }
  const { valid, errors } = await client.validateEntity(undefined, 'url:https://example.org/', options);
  assert.deepEqual({ valid, errors }, { valid: false, errors: [] }, 'a request without an entity is folded into no errors');
});

await check('an answer that is no error body', async () => {
  const nowhere = new CatalogClient({ discoveryApi: { getBaseUrl: async () => `${BASE_URL}/no-such-mount` } });
  // An empty 404: nothing where the client takes one for an answer, an error without a cause of ours elsewhere.
  assert.equal(await nowhere.getEntityByRef(anyRef, options), undefined);
  assert.equal(await nowhere.getLocationById('any', options), undefined);
  assert.equal(await nowhere.getEntityFacets({ facets: ['kind'] }, options), undefined);
  const notFound = ({ name, statusCode, cause }) => name === 'ResponseError' && statusCode === 404 && cause.name === 'Error';
  await assert.rejects(nowhere.getEntities({}, options), notFound);
  await assert.rejects(nowhere.queryEntities({}, options), notFound);
  await assert.rejects(nowhere.refreshEntity(anyRef, options), notFound);
});

await check('what is not there', async () => {
  const id = '00000000-0000-4000-8000-000000000000';
  assert.equal(await client.getLocationById(id, options), undefined);
  assert.equal(await client.getLocationById('not-a-uuid', options), undefined);
  assert.equal(await client.getLocationByRef('url:https://example.org/nothing', options), undefined);
  assert.equal(await client.getLocationByEntity('component:default/no-such-entity', options), undefined);
  assert.equal(await client.getLocationByEntity(anyRef, options), undefined, 'a location of the configuration is not registered');
  await assert.rejects(client.removeLocationById(id, options), failsWith(404, 'NotFoundError'));
  for (const { id: one } of added) {
    await client.removeLocationById(one, options);
  }
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
    failsWith(404, 'NotFoundError'),
    'removing it again is a 404',
  );
});

await check('every method was called', async () => {
  assert.deepEqual([...called].filter(name => name in calls).sort(), promisedMethods());
});
