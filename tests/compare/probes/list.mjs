// `/entities`, paths that are none, and who asks.

import { query, questions, UNORDERED } from './questions.mjs';
import { LONG } from '../entities.mjs';

export async function probeList(pair) {
  const { get } = questions(pair);

  // /entities
  await get('entities', '/entities', UNORDERED);
  await get('entities: ordered', '/entities?order=asc:metadata.name');
  await get('entities: ordered, downwards', '/entities?order=desc:metadata.name');
  await get('entities: ordered by what some lack', '/entities?order=asc:spec.rank');
  await get('entities: ordered by two', '/entities?order=asc:kind&order=desc:metadata.name', UNORDERED);
  await get('entities: ordered in no direction', '/entities?order=metadata.name');
  await get('entities: ordered in a direction of nobody', '/entities?order=up:metadata.name');
  await get('entities: ordered by nothing', '/entities?order=asc:');
  await get('entities: a page', '/entities?limit=3');
  await get('entities: a page with everything', '/entities?limit=500');
  await get('entities: the page behind it', '/entities?limit=3', { then: next });
  await get('entities: a page at an offset', '/entities?limit=2&offset=4');
  await get('entities: an offset alone', '/entities?offset=4');
  await get('entities: an offset beyond', '/entities?offset=1000&limit=2');
  await get('entities: a page ordered by what some lack', '/entities?limit=3&order=asc:spec.rank');
  await get('entities: a page ordered by a field with capitals', '/entities?limit=50&order=asc:metadata.NAME', UNORDERED);
  await get('entities: a page ordered by two', '/entities?limit=50&order=asc:kind&order=desc:metadata.name');
  await get('entities: a page ordered by several values', '/entities?limit=3&order=asc:metadata.tags&fields=metadata.name');
  for (const limit of ['0', '-1', 'x', '1.5', '', '1e3', '99999999999999999999']) {
    await get(`entities: a limit of \`${limit}\``, `/entities?limit=${limit}`);
  }
  for (const offset of ['-1', 'x', ''])
    await get(`entities: an offset of \`${offset}\``, `/entities?limit=1&offset=${offset}`);
  for (const after of ['nonsense', '', btoa('{}'), btoa('{"limit":"x"}'), btoa('[]')]) {
    await get(`entities: after \`${after}\``, `/entities?${query({ after })}`);
  }
  await get('entities: twice a limit', '/entities?limit=1&limit=2');
  for (const fields of [
    'kind',
    'kind,metadata.name',
    'metadata.annotations.backstage.io/view-url',
    'no.such',
    'metadata.tags[0]',
    'metadata.tags.0',
    ' kind , metadata.name ',
    ',',
    '',
  ]) {
    await get(`entities: fields \`${fields}\``, `/entities?order=asc:metadata.name&${query({ fields })}`);
  }
  await get('entities: fields given twice', '/entities?order=asc:metadata.name&fields=kind&fields=metadata.name');
  for (const filter of FILTERS) {
    const parameters = [filter].flat().map(one => ['filter', one]);
    await get(
      `entities: filter \`${[filter].flat().join('` or `')}\``,
      `/entities?order=asc:metadata.name&fields=kind,metadata.name&${query(parameters)}`,
    );
  }
  await get('entities: a parameter of nobody', '/entities?foo=bar');
  await get('entities: a parameter without a value', '/entities?filter');
  await pair.compare('entities: compressed', { path: '/entities', headers: { 'accept-encoding': 'gzip' } });
  await pair.compare('entities: compressed by br', { path: '/entities', headers: { 'accept-encoding': 'br' } });
  await pair.compare('entities: HEAD', { method: 'HEAD', path: '/entities' });
  await pair.compare('entities: OPTIONS', { method: 'OPTIONS', path: '/entities' });
  await pair.compare('entities: PATCH', { method: 'PATCH', path: '/entities' });
  await pair.compare('entities: POST', { method: 'POST', path: '/entities', body: {} });
  await get('a body that is known', '/entity-facets?facet=kind', {
    then: ({ headers }) => ({ path: '/entity-facets?facet=kind', headers: { 'if-none-match': headers.etag ?? '"none"' } }),
  });
  await get('a slash at the end', '/entities/');
  await get('a route of nobody', '/nothing/here');
  await get('a route in capitals', '/ENTITIES?limit=1');
  await get('the mount itself', '');

  // Who asks
  await pair.compare('nobody asks', { path: '/entities', anonymous: true });
  await pair.compare('nobody asks, of a route of nobody', { path: '/nothing', anonymous: true });
  await pair.compare('a token of nobody', {
    path: '/entities',
    anonymous: true,
    headers: { authorization: 'Bearer nonsense' },
  });
  await pair.compare('a scheme of nobody', { path: '/entities', anonymous: true, headers: { authorization: 'Basic YTpi' } });
  await pair.compare('a scheme in lower case', side => ({
    path: '/entities?limit=1',
    anonymous: true,
    headers: { authorization: `bearer ${side.token}` },
  }));
}

// The page that a `Link` header names.
function next({ headers }) {
  return { path: /<([^>]*)>/.exec(headers.link)[1] };
}

const FILTERS = [
  'kind=component',
  'KIND=Component',
  'kind=component,metadata.tags=java',
  'kind=user,kind=group',
  ['kind=user', 'kind=group'],
  'kind',
  'kind,kind=user',
  'kind=',
  '=x',
  ',',
  ' kind = component ',
  'metadata.tags.java',
  'metadata.tags.JAVA=true',
  'metadata.annotations.example.com/note',
  'metadata.labels.tier=gold',
  'relations.ownedby=group:default/team-a',
  'relations.ownedBy=Group:default/Team-A',
  'spec.long',
  `spec.long=${LONG}`,
  'spec.nothing',
  'spec.nothing=null',
  'spec.nested.a=1',
  'spec.nested.a.two',
  'spec.nested.a.b=3',
  'spec.nested.upper=mixed',
  'spec.nested.t=TRUE',
  'spec.dotted.key.inner=yes',
  'metadata.name=web-shop',
  'metadata.namespace=default,kind=group',
  'spec.rank=1',
  'spec.rank=01',
  'no.such.key',
  'metadata.uid',
  'metadata.etag',
  'status',
  'relations',
  'spec.type=a=b',
];
