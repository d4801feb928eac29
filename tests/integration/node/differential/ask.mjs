// One request, asked of a client, and its answer in the shape that is compared. Both clients have the same methods.

import { CATALOG_FILTER_EXISTS } from '@backstage/catalog-client';

// Pages looked at forward before going back.
export const MOST_PAGES = 4;

// A filter as the client takes it: with its symbol for existence.
export function withSymbols(filter) {
  const value = one => (one?.exists === true ? CATALOG_FILTER_EXISTS : one);
  const record = one =>
    Object.fromEntries(
      Object.entries(one).map(([key, values]) => [key, Array.isArray(values) ? values.map(value) : value(values)]),
    );
  if (filter === undefined) return undefined;
  return Array.isArray(filter) ? filter.map(record) : record(filter);
}

export async function ask(client, { call, request }, options) {
  const given = { ...request, ...('filter' in request && { filter: withSymbols(request.filter) }) };
  switch (call) {
    case 'getEntities': {
      const after = given.after && btoa(JSON.stringify(given.after));
      return (await client.getEntities({ ...given, after }, options)).items;
    }
    case 'queryEntities':
      return pages(client, given, options);
    case 'streamEntities': {
      const found = [];
      for await (const items of client.streamEntities(given, options)) found.push(...items);
      return found;
    }
    case 'getEntitiesByRefs':
      return (await client.getEntitiesByRefs(given, options)).items;
    default:
      return (await client[call](given, options)).facets;
  }
}

// Some pages forward, then back to the first.
async function pages(client, given, options) {
  const shown = page => ({
    items: page.items,
    totalItems: page.totalItems,
    previous: !!page.pageInfo.prevCursor,
    next: !!page.pageInfo.nextCursor,
  });
  const turn = cursor => client.queryEntities({ cursor, limit: given.limit, fields: given.fields }, options);
  let page = await client.queryEntities(given, options);
  const seen = [shown(page)];
  while (page.pageInfo.nextCursor && seen.length < MOST_PAGES) {
    page = await turn(page.pageInfo.nextCursor);
    seen.push(shown(page));
  }
  while (page.pageInfo.prevCursor && seen.length < 2 * MOST_PAGES) {
    page = await turn(page.pageInfo.prevCursor);
    seen.push(shown(page));
  }
  return seen;
}
