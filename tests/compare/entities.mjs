// The entities of the scenario: every built-in kind, and values that are hard to search.

const V = 'backstage.io/v1alpha1';

// With the annotations a provider has to set.
export function provided(kind, name, { spec, location = 'url:http://127.0.0.1/provided', ...metadata }) {
  const annotations = {
    'backstage.io/managed-by-location': location,
    'backstage.io/managed-by-origin-location': location,
    ...metadata.annotations,
  };
  return { apiVersion: V, kind, metadata: { name, ...metadata, annotations }, spec };
}

export const component = (name, spec = {}, metadata = {}) =>
  provided('Component', name, { spec: { type: 'service', lifecycle: 'production', owner: 'team-a', ...spec }, ...metadata });

export const LONG = 'x'.repeat(201);

export const CATALOG = [
  component(
    'Web-Shop',
    { type: 'website', system: 'shop', providesApis: ['orders', 'carts'], dependsOn: ['resource:db'] },
    {
      title: 'The Shop',
      description: '100% of_it',
      tags: ['java', 'web'],
      labels: { tier: 'Gold', 'example.com/Label': 'x' },
      links: [{ url: 'https://example.org/', title: 'Home', icon: 'dashboard' }],
      annotations: { 'example.com/note': 'Straße' },
    },
  ),
  component('search', { type: 'Library', rank: 1, subcomponentOf: 'web-shop' }, { tags: ['Java-x'.toLowerCase()] }),
  component('batch', { type: 'a-b', rank: 10, consumesApis: ['orders'], lifecycle: 'experimental' }),
  component('odd', {
    type: 'a_b',
    rank: 2,
    long: LONG,
    nothing: null,
    nested: { a: [1, 'two', { b: 3 }], n: null, t: true, Upper: 'MiXed' },
    'dotted.key': { inner: 'yes' },
  }),
  component('elsewhere', { type: 'ab', owner: 'user:other/Jane' }, { namespace: 'other' }),
  provided('API', 'orders', {
    spec: { type: 'openapi', lifecycle: 'production', owner: 'team-a', definition: 'openapi: 3.1.0', system: 'shop' },
  }),
  provided('Resource', 'db', { spec: { type: 'database', owner: 'team-a', dependencyOf: ['component:batch'] } }),
  provided('System', 'shop', { spec: { owner: 'team-a', domain: 'sales' } }),
  provided('Domain', 'sales', { spec: { owner: 'team-a', subdomainOf: 'business' } }),
  provided('Group', 'team-a', {
    spec: { type: 'team', parent: 'everybody', children: [], members: ['jane'], profile: { displayName: 'Team A' } },
  }),
  provided('User', 'Jane', {
    namespace: 'other',
    spec: { memberOf: ['default/team-a'], profile: { displayName: 'Jane', email: 'jane@example.org' } },
  }),
];

// A catalog file of the same entities, without a provider's annotations.
export function file(...entities) {
  return entities
    .map(
      entity => `---\n${JSON.stringify(entity, (key, value) => (key === 'annotations' ? withoutLocation(value) : value))}\n`,
    )
    .join('');
}

function withoutLocation(annotations) {
  const kept = Object.entries(annotations).filter(([key]) => !key.startsWith('backstage.io/managed-by'));
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}

// A Location entity that points at other files.
export const pointer = (name, ...targets) => ({ apiVersion: V, kind: 'Location', metadata: { name }, spec: { targets } });
