// Entities by name, uid and ref, where they come from, and their refresh.

import { gzipSync } from 'node:zlib';
import { JSON_TYPE, NOBODY, PADDING, query, questions } from './questions.mjs';

export async function probeSingle(pair) {
  const { get, post, posted } = questions(pair);

  // By name, uid and refs
  const names = [
    'component/default/web-shop',
    'COMPONENT/Default/WEB-SHOP',
    'component/default/none',
    'Component/Other/None',
    'user/other/jane',
    'component/default/a%20b',
    'component/default/%ZZ',
    'component/default/a%2Fb',
  ];
  for (const name of names) {
    await get(`by name: ${name}`, `/entities/by-name/${name}`);
    await get(`ancestry: ${name}`, `/entities/by-name/${name}/ancestry`);
  }
  await get('by name: too short', '/entities/by-name/component/default');
  await get('by name: with a parameter', '/entities/by-name/component/default/web-shop?fields=kind');
  await get('ancestry: of a file', '/entities/by-name/component/default/filed/ancestry');
  await pair.compare('by uid', async side => ({
    path: `/entities/by-uid/${(await side.get('/entities/by-name/component/default/web-shop')).metadata.uid}`,
  }));
  await get('by uid: nobody', `/entities/by-uid/${NOBODY}`);
  await get('by uid: no uid', '/entities/by-uid/no-uid');
  await pair.compare('by uid: nobody is deleted', { method: 'DELETE', path: `/entities/by-uid/${NOBODY}` });
  await pair.compare('by uid: no uid is deleted', { method: 'DELETE', path: '/entities/by-uid/no-uid' });
  const refs = [
    'component:default/web-shop',
    'Component:default/Web-Shop',
    'component:default/none',
    'web-shop',
    '',
    'user:other/jane',
    'component:default/web-shop',
  ];
  await post('by refs', '/entities/by-refs', { entityRefs: refs });
  await post('by refs: none', '/entities/by-refs', { entityRefs: [] });
  await post('by refs: fields', '/entities/by-refs', { entityRefs: refs, fields: ['kind', 'metadata.name'] });
  await post('by refs: a filter', `/entities/by-refs?${query({ filter: 'kind=user' })}`, { entityRefs: refs });
  await post('by refs: a predicate', '/entities/by-refs', { entityRefs: refs, query: { kind: 'component' } });
  await post('by refs: a predicate of nobody', '/entities/by-refs', { entityRefs: refs, query: { $nothing: 1 } });
  await post('by refs: no refs', '/entities/by-refs', {});
  await post('by refs: refs that are no list', '/entities/by-refs', { entityRefs: 'x' });
  await post('by refs: a ref that is no text', '/entities/by-refs', { entityRefs: [1] });
  await post('by refs: a property of nobody', '/entities/by-refs', { entityRefs: [], foo: 1 });
  await post('by refs: a body of 90 KiB', '/entities/by-refs', {
    entityRefs: Array(900).fill('component:default/'.padEnd(97, 'n')),
  });
  await post('by refs: a body of 200 KiB', '/entities/by-refs', {
    entityRefs: ['component:default/web-shop'],
    padding: PADDING,
  });
  await posted('by refs: broken JSON', '/entities/by-refs', '{"entityRefs":', JSON_TYPE);
  await posted('by refs: no JSON', '/entities/by-refs', 'hello', { 'content-type': 'text/plain' });
  await posted('by refs: no body', '/entities/by-refs', undefined, {});
  await posted('by refs: a list for a body', '/entities/by-refs', '[]', JSON_TYPE);
  await posted('by refs: a text for a body', '/entities/by-refs', '"x"', JSON_TYPE);
  await posted('by refs: compressed', '/entities/by-refs', gzipSync('{"entityRefs":[]}'), {
    ...JSON_TYPE,
    'content-encoding': 'gzip',
  });

  // Refresh
  await post('refresh', '/refresh', { entityRef: 'component:default/web-shop' });
  await post('refresh: in capitals', '/refresh', { entityRef: 'Component:Default/Web-Shop' });
  await post('refresh: nobody', '/refresh', { entityRef: 'component:default/none' });
  await post('refresh: no ref', '/refresh', { entityRef: ':::' });
  await post('refresh: a token', '/refresh', { entityRef: 'component:default/web-shop', authorizationToken: 'x' });
  await post('refresh: nothing', '/refresh', {});
  await post('refresh: a property of nobody', '/refresh', { entityRef: 'component:default/web-shop', foo: 1 });
}
