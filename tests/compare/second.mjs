// The second pair: an installation that keeps orphans, registers files, orders text as a language does, and has an integration
// for a source host.

import { component, file } from './entities.mjs';

export async function second(pair, { files, repository }) {
  await order(pair);
  await keep(pair, files);
  const location = { type: 'file', target: '/nowhere/catalog-info.yaml' };
  await pair.compare('second: a file is registered', { method: 'POST', path: '/locations', body: location });
  repository.write('raw/owner/named/HEAD/catalog-info.yaml', file(component('found')));
  for (const name of ['named', 'without-a-file']) {
    const target = `http://${repository.host}/owner/${name}`;
    const body = { location: { type: 'url', target } };
    await pair.compare(
      `second: analyze-location: a repository, ${name}`,
      { method: 'POST', path: '/analyze-location', body },
      { unordered: true },
    );
  }
}

async function order(pair) {
  const types = { one: 'a-c', two: 'ab', three: 'B', four: 'éa', five: 'f' };
  const added = Object.entries(types).map(([name, type]) => ({ entity: component(name, { type }), locationKey: 'second' }));
  await pair.both(side => side.push('first', { type: 'full', added }));
  await pair.settle('second: a full mutation', ({ entities }) => Object.keys(entities).length === added.length);
  await pair.compare('second: ordered by values', {
    path: '/entities/by-query?orderField=spec.type,asc&fields=metadata.name',
  });
}

async function keep(pair, files) {
  const target = files.write('keep.yaml', file(component('kept'), component('beside')));
  const refresh = side => side.ask({ method: 'POST', path: '/refresh', body: { entityRef: 'component:default/beside' } });
  const isOrphan = ({ entities }) =>
    entities['component:default/kept']?.metadata.annotations['backstage.io/orphan'] === 'true';
  await pair.both(side => side.ask({ method: 'POST', path: '/locations', body: { type: 'url', target } }));
  await pair.settle('second: a file is served', ({ entities }) => entities['component:default/kept']);
  files.write('keep.yaml', file(component('beside')));
  await pair.both(refresh);
  await pair.settle('second: an orphan is marked', isOrphan);
  await pair.compare('second: ancestry: of an orphan', { path: '/entities/by-name/component/default/kept/ancestry' });
  files.write('keep.yaml', file(component('kept'), component('beside')));
  await pair.both(refresh);
  await pair.settle('second: it is emitted again', state => state.entities['component:default/kept'] && !isOrphan(state));
}
