// What Backstage's platform asks of every plugin, and the module of unprocessed entities.

import { NOBODY, questions, UNORDERED } from './questions.mjs';

export async function probePlatform(pair) {
  const { get, post } = questions(pair);

  // Unprocessed entities
  await get('unprocessed: pending of somebody', '/entities/unprocessed/pending?owner=nobody');
  await get('unprocessed: failed of somebody', '/entities/unprocessed/failed?owner=nobody');
  await pair.compare('unprocessed: nobody is deleted', { method: 'DELETE', path: `/entities/unprocessed/delete/${NOBODY}` });

  await get('permissions', '/.well-known/backstage/permissions/metadata', UNORDERED);
  const apply = (what, items) =>
    post(`permissions, applied: ${what}`, '/.well-known/backstage/permissions/apply-conditions', { items });
  const condition = (rule, params) => ({ rule, resourceType: 'catalog-entity', params });
  const item = (resourceRef, conditions, id = '1') => ({ id, resourceRef, resourceType: 'catalog-entity', conditions });
  await apply('nothing', []);
  await apply('a kind', [
    item('component:default/web-shop', condition('IS_ENTITY_KIND', { kinds: ['Component'] })),
    item('user:other/jane', condition('IS_ENTITY_KIND', { kinds: ['Component'] }), '2'),
  ]);
  await apply('an owner', [
    item('component:default/web-shop', condition('IS_ENTITY_OWNER', { claims: ['group:default/team-a'] })),
  ]);
  await apply('nobody', [item('component:default/none', condition('IS_ENTITY_KIND', { kinds: ['Component'] }))]);
  await apply('a rule of nobody', [item('component:default/web-shop', condition('NOTHING', {}))]);
  await apply('several', [
    item('component:default/web-shop', {
      allOf: [
        condition('HAS_LABEL', { label: 'tier' }),
        { not: condition('HAS_ANNOTATION', { annotation: 'none' }) },
        { anyOf: [condition('HAS_METADATA', { key: 'tags', value: 'java' }), condition('HAS_SPEC', { key: 'no' })] },
      ],
    }),
  ]);
  await post('permissions, applied: no items', '/.well-known/backstage/permissions/apply-conditions', {});
  await get('scheduler: tasks', '/.backstage/scheduler/v1/tasks', UNORDERED);
  const task = '/.backstage/scheduler/v1/tasks/nothing';
  await pair.compare('scheduler: a task of nobody is triggered', { method: 'POST', path: `${task}/trigger` });
  await pair.compare('scheduler: a task of nobody is cancelled', { method: 'POST', path: `${task}/cancel` });
  await get('openapi.json', '/openapi.json');
  await get('actions', '/.backstage/actions/v1/actions');
  await pair.compare('keys of tokens', { path: '/.backstage/auth/v1/jwks.json', anonymous: true });
  for (const name of ['liveness', 'readiness']) {
    await pair.compare(`health: ${name}`, { path: `/.backstage/health/v1/${name}`, root: true, anonymous: true });
  }
}
