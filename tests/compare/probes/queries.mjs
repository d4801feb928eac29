// `/entities/by-query` on both verbs, and facets.

import { PADDING, query, questions, UNORDERED } from './questions.mjs';

export async function probeQueries(pair) {
  const { get, post } = questions(pair);

  // by-query
  await get('by-query', '/entities/by-query', UNORDERED);
  await get('by-query: ordered', '/entities/by-query?orderField=metadata.name,asc');
  await get('by-query: ordered downwards', '/entities/by-query?orderField=metadata.name,desc&limit=3');
  await get('by-query: ordered by what some lack', '/entities/by-query?orderField=spec.rank,asc');
  await get('by-query: ordered by two', '/entities/by-query?orderField=metadata.name,asc&orderField=kind,asc');
  await get('by-query: ordered in no direction', '/entities/by-query?orderField=metadata.name&limit=2');
  await get('by-query: the page behind it', '/entities/by-query?orderField=metadata.name&limit=2', { then: nextPage });
  await get('by-query: ordered in a direction of nobody', '/entities/by-query?orderField=metadata.name,up');
  const page = '/entities/by-query?orderField=metadata.name,asc&limit=3';
  await get('by-query: a page', page);
  await get('by-query: the next page', page, { then: nextPage });
  await get('by-query: the next page by POST', page, {
    then: ({ body }) => ({
      method: 'POST',
      path: '/entities/by-query',
      body: { cursor: body.pageInfo.nextCursor, limit: 3 },
    }),
  });
  await get('by-query: the page before it', page, {
    then: async (reply, side) => {
      const second = await side.ask(nextPage(reply));
      return { path: `/entities/by-query?limit=3&${query({ cursor: second.body.pageInfo.prevCursor })}` };
    },
  });
  await get('by-query: nothing of a page', '/entities/by-query?limit=0');
  await get('by-query: without a total', '/entities/by-query?limit=2&totalItems=exclude&orderField=metadata.name,asc');
  await get('by-query: a total of nobody', '/entities/by-query?totalItems=maybe');
  await get('by-query: at an offset', '/entities/by-query?offset=2&limit=2&orderField=metadata.name,asc');
  for (const limit of ['-1', 'x', '']) await get(`by-query: a limit of \`${limit}\``, `/entities/by-query?limit=${limit}`);
  for (const cursor of ['nonsense', '', btoa('{}'), btoa('{"query":1}'), btoa('[]')]) {
    await get(`by-query: the cursor \`${cursor}\``, `/entities/by-query?${query({ cursor })}`);
    await post(`by-query, POST: the cursor \`${cursor}\``, '/entities/by-query', { cursor });
  }
  for (const term of ['shop', 'SHOP', ' shop ', '%', '_', '\\', 'w%p', '']) {
    await get(
      `by-query: the text \`${term}\``,
      `/entities/by-query?${query({ fullTextFilterTerm: term, fullTextFilterFields: 'metadata.name,metadata.title,metadata.description', fields: 'metadata.name', orderField: 'metadata.name,asc' })}`,
    );
  }
  await get('by-query: a text without fields', '/entities/by-query?fullTextFilterTerm=shop&orderField=metadata.name,asc');
  await get(
    'by-query: a filter and fields',
    `/entities/by-query?${query({ filter: 'kind=component', fields: 'metadata.name', orderField: 'metadata.name,asc' })}`,
  );
  await get('by-query: a parameter of nobody', '/entities/by-query?foo=bar');
  await post('by-query, POST: nothing', '/entities/by-query', undefined, UNORDERED);
  await post('by-query, POST: an empty body', '/entities/by-query', {}, UNORDERED);
  for (const predicate of PREDICATES) {
    await post(`by-query, POST: ${JSON.stringify(predicate)}`.slice(0, 120), '/entities/by-query', {
      query: predicate,
      orderBy: [{ field: 'metadata.name', order: 'asc' }],
      fields: ['kind', 'metadata.name'],
    });
  }
  await post('by-query, POST: a limit below 0', '/entities/by-query', { limit: -1 });
  await post('by-query, POST: a limit that is no number', '/entities/by-query', { limit: 'x' });
  await post('by-query, POST: nothing of a page', '/entities/by-query', { limit: 0 });
  await post('by-query, POST: at an offset', '/entities/by-query', {
    offset: 2,
    limit: 2,
    orderBy: [{ field: 'metadata.name', order: 'desc' }],
  });
  await post('by-query, POST: a text', '/entities/by-query', {
    fullTextFilter: { term: 'shop', fields: ['metadata.name'] },
    orderBy: [{ field: 'metadata.name', order: 'asc' }],
  });
  await post('by-query, POST: without a total', '/entities/by-query', {
    totalItems: 'exclude',
    limit: 2,
    orderBy: [{ field: 'metadata.name', order: 'asc' }],
  });
  await post('by-query, POST: an order of nobody', '/entities/by-query', { orderBy: [{ field: 'kind', order: 'up' }] });
  await post('by-query, POST: an order without a direction', '/entities/by-query', { orderBy: [{ field: 'kind' }] });
  await post('by-query, POST: a property of nobody', '/entities/by-query', { foo: 1, limit: 0 });
  await post('by-query, POST: a body of 200 KiB', '/entities/by-query', { limit: 0, padding: PADDING });
  await post('by-query, POST: fields that are no list', '/entities/by-query', { fields: 'kind' });

  // Facets
  const facets = names => query(names.map(facet => ['facet', facet]));
  await get(
    'facets',
    `/entity-facets?${facets(['kind', 'spec.type', 'spec.Type', 'metadata.tags', 'metadata.tags.java', 'spec.long', 'spec.nothing', 'spec.nested.upper', 'relations.ownedBy', 'no.such', 'metadata.name', 'metadata.namespace'])}`,
    UNORDERED,
  );
  await get('facets: their order', `/entity-facets?${facets(['spec.type'])}`);
  await get('facets: a filter', `/entity-facets?${facets(['kind'])}&filter=kind=component,kind=api`);
  await get('facets: twice the same', `/entity-facets?${facets(['kind', 'kind'])}`);
  await get('facets: none', '/entity-facets');
  await get('facets: an empty one', '/entity-facets?facet=');
  await get('facets: a parameter of nobody', '/entity-facets?facet=kind&foo=bar');
  await post('facets, POST', '/entity-facets', { facets: ['kind', 'spec.lifecycle'] });
  await post('facets, POST: a predicate', '/entity-facets', { facets: ['kind'], query: { 'metadata.tags': 'java' } });
  await post('facets, POST: none', '/entity-facets', { facets: [] });
  await post('facets, POST: nothing', '/entity-facets', {});
  await post('facets, POST: a predicate of nobody', '/entity-facets', { facets: ['kind'], query: { $nothing: 1 } });
  await get(
    'facets: more than are counted',
    `/entity-facets?${facets(Array.from({ length: 101 }, (_, at) => `no.such${at}`))}`,
  );
}

function nextPage({ body }) {
  return { path: `/entities/by-query?${query({ limit: 3, cursor: body.pageInfo.nextCursor })}` };
}

const PREDICATES = [
  {},
  { kind: 'component' },
  { kind: 'COMPONENT', 'spec.type': 'library' },
  { Kind: 'component' },
  { 'metadata.tags': 'java' },
  { 'metadata.tags': { $exists: true } },
  { 'metadata.tags': { $exists: false } },
  { kind: { $in: ['api', 'Group'] } },
  { kind: { $in: [] } },
  { 'metadata.name': { $hasPrefix: 'WEB' } },
  { 'metadata.name': { $hasPrefix: '' } },
  { 'metadata.description': { $hasPrefix: '100%' } },
  { 'metadata.tags': { $contains: 'java' } },
  { 'spec.rank': 1 },
  { 'spec.rank': '1' },
  { 'spec.nested.t': true },
  { 'spec.nothing': { $exists: true } },
  { 'spec.long': { $exists: true } },
  { relations: { $contains: { type: 'ownedBy' } } },
  { relations: { $contains: { type: 'ownedBy', targetRef: 'group:default/team-a' } } },
  { relations: { $contains: { type: 'OWNEDBY', targetRef: 'Group:Default/Team-A' } } },
  { relations: { $contains: { type: 'ownedBy', targetRef: { $in: ['group:default/team-a', 'x'] } } } },
  { relations: { $contains: { type: 'ownedBy', targetRef: { $in: [] } } } },
  { relations: { $contains: { targetRef: 'x' } } },
  { relations: { $contains: 'x' } },
  { 'spec.nested': { $contains: { type: 'x' } } },
  { $all: [] },
  { $any: [] },
  { $all: [{ kind: 'component' }, { 'metadata.tags': 'java' }] },
  { $any: [{ kind: 'user' }, { kind: 'group' }] },
  { $not: { kind: 'component' } },
  { $not: { $any: [{ kind: 'component' }, { kind: 'api' }] } },
  { $all: [{ kind: 'component' }], kind: 'component' },
  { $nothing: 1 },
  { kind: { $nothing: 1 } },
  { kind: { $in: 'x' } },
  { kind: { $exists: 'yes' } },
  { kind: { $exists: true, $in: ['x'] } },
  { kind: null },
  { kind: [] },
  { kind: {} },
  { $not: [] },
  { $all: {} },
  { '': 'x' },
  [],
  'x',
  null,
  1,
];
