// `/validate-entity` and `/analyze-location`.

import { PADDING, questions } from './questions.mjs';
import { VALIDATED } from './validated.mjs';

export async function probeValidation(pair, { files }) {
  const { post } = questions(pair);

  // Validation
  const at = `url:${files.url('nowhere/catalog-info.yaml')}`;
  for (const [what, entity] of Object.entries(VALIDATED)) {
    await post(`validate-entity: ${what}`, '/validate-entity', { entity, location: at });
  }
  const good = VALIDATED['a good one'];
  const large = { ...good, metadata: { ...good.metadata, description: PADDING } };
  await post('validate-entity: a body of 200 KiB', '/validate-entity', { entity: large, location: at });
  await post('validate-entity: no location', '/validate-entity', { entity: good });
  await post('validate-entity: no entity', '/validate-entity', { location: at });
  await post('validate-entity: an entity that is none', '/validate-entity', { entity: 'x', location: at });
  await post('validate-entity: a location that is none', '/validate-entity', { entity: good, location: 'nonsense' });
  await post('validate-entity: a location of http', '/validate-entity', {
    entity: good,
    location: 'http://example.org/x.yaml',
  });
  await post('validate-entity: a file', '/validate-entity', { entity: good, location: 'file:/etc/x.yaml' });
  files.write('here/text.txt', 'a text');
  const placeholder = { ...good, metadata: { ...good.metadata, description: { $text: './text.txt' } } };
  const there = `url:${files.url('here/catalog-info.yaml')}`;
  await post('validate-entity: a placeholder', '/validate-entity', { entity: placeholder, location: there });
  await post('validate-entity: a placeholder of nothing', '/validate-entity', { entity: placeholder, location: at });
  const annotated = {
    ...placeholder,
    metadata: {
      ...placeholder.metadata,
      annotations: { 'backstage.io/managed-by-location': there, 'backstage.io/managed-by-origin-location': there },
    },
  };
  await post('validate-entity: a placeholder beside an annotation', '/validate-entity', { entity: annotated, location: at });

  // Analysis
  const analyze = (what, target, more = {}) =>
    post(`analyze-location: ${what}`, '/analyze-location', { location: { type: 'url', target }, ...more });
  await analyze('a host of nobody', 'https://nobody.example/one/two');
  await analyze('a folder', 'https://nobody.example/one/two/tree/main/folder');
  await analyze('no URL', 'not a url');
  await analyze('no repository', 'https://nobody.example/');
  await post('analyze-location: nothing', '/analyze-location', {});
  await post('analyze-location: no target', '/analyze-location', { location: { type: 'url' } });
  await post('analyze-location: another type', '/analyze-location', { location: { type: 'file', target: '/etc' } });
}
