// `/locations`: all verbs, by query, by entity, and as a trial.

import { NOBODY, questions, UNORDERED } from './questions.mjs';
import { VALIDATED } from './validated.mjs';

export async function probeLocations(pair, { files, location }) {
  const { get, post } = questions(pair);

  // Locations
  await get('locations', '/locations', UNORDERED);
  await get('locations: a parameter', '/locations?foo=bar');
  await pair.compare('location', side => ({ path: `/locations/${location[side.name]}` }));
  await get('location: nobody', `/locations/${NOBODY}`);
  await get('location: an id that is no UUID', '/locations/no-uuid');
  await pair.compare('location: nobody is deleted', { method: 'DELETE', path: `/locations/${NOBODY}` });
  await pair.compare('location: nobody is changed', {
    method: 'PUT',
    path: `/locations/${NOBODY}`,
    body: { type: 'url', target: 'http://x/y' },
  });
  await get('location of an entity', '/locations/by-entity/component/default/filed');
  await get('location of an entity of a provider', '/locations/by-entity/component/default/web-shop');
  await get('location of nobody', '/locations/by-entity/component/default/none');
  for (const body of [
    undefined,
    {},
    { limit: 1 },
    { limit: 0 },
    { limit: -1 },
    { limit: 'x' },
    { cursor: 'nonsense' },
    { foo: 1 },
  ]) {
    await post(`locations by query: ${JSON.stringify(body) ?? 'nothing'}`, '/locations/by-query', body, UNORDERED);
  }
  const target = files.url('all.yaml');
  for (const predicate of [
    { type: 'url' },
    { TYPE: 'URL' },
    { target },
    { target: { $in: [target, 'x'] } },
    { target: { $hasPrefix: 'http' } },
    { type: { $exists: true } },
    { type: { $exists: false } },
    { type: { $contains: 'url' } },
    { $all: [] },
    { $any: [] },
    { $not: { type: 'url' } },
    { $not: { type: 'file' } },
    { $any: [{ type: 'url' }, { type: 'file' }] },
    { presence: 'required' },
    { $nothing: 1 },
    {},
    [],
    'x',
  ]) {
    await post(
      `locations by query: ${JSON.stringify(predicate).replace(files.host, 'FILES')}`,
      '/locations/by-query',
      { query: predicate },
      UNORDERED,
    );
  }
  await post('locations: nothing', '/locations', {});
  await post('locations: no target', '/locations', { type: 'url' });
  await post('locations: an empty target', '/locations', { type: 'url', target: '' });
  await post('locations: a type of nobody', '/locations', { type: 'ftp', target: 'ftp://x' });
  await post('locations: a type of http', '/locations', { type: 'http', target: 'http://x' });
  await post('locations: a property of nobody', '/locations', { type: 'url', target: 'http://x', foo: 1 });
  await post('locations: a presence of nobody', '/locations?dryRun=true', {
    type: 'url',
    target: 'http://x',
    presence: 'maybe',
  });
  await post('locations: a parameter of nobody', '/locations?foo=bar', { type: 'url', target: 'http://x' });
  await post('locations: a conflict of nobody', '/locations?onConflict=ignore', { type: 'url', target: 'http://x' });
  await post('locations: again', '/locations', { type: 'url', target });
  await post('locations: again, to be refreshed', '/locations?onConflict=refresh', { type: 'url', target });
  await post('locations: a trial', '/locations?dryRun=true', { type: 'url', target }, UNORDERED);
  files.write('trial.yaml', JSON.stringify(VALIDATED['a good one']));
  await post(
    'locations: a trial of something new',
    '/locations?dryRun=true',
    { type: 'url', target: files.url('trial.yaml') },
    UNORDERED,
  );
  await post('locations: a trial of nothing', '/locations?dryRun=true', { type: 'url', target: files.url('nothing.yaml') });
  files.write('bad.yaml', 'a: [');
  await post('locations: a trial of a file that cannot be parsed', '/locations?dryRun=true', {
    type: 'url',
    target: files.url('bad.yaml'),
  });
  for (const yes of ['1', 'yes', 'on', 'TRUE', 'y']) {
    await post(
      `locations: a trial, said \`${yes}\``,
      `/locations?dryRun=${yes}`,
      { type: 'url', target: files.url('trial.yaml') },
      UNORDERED,
    );
  }
  for (const neither of ['t', 'perhaps']) {
    await post(`locations: a trial, said \`${neither}\``, `/locations?dryRun=${neither}`, {
      type: 'url',
      target: files.url('trial.yaml'),
    });
    await pair.both(side => tidy(side, target));
  }
  await post('locations: a trial, said ``', '/locations?dryRun=', { type: 'url', target: files.url('trial.yaml') });
}

// Removes the locations that only one side has registered.
async function tidy(side, kept) {
  for (const { data } of await side.get('/locations')) {
    if (data.target !== kept) await side.ask({ method: 'DELETE', path: `/locations/${data.id}` });
  }
}
