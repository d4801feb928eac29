// The life of a catalog, step by step on both sides: files are registered, served, changed, broken, mended and moved, entities
// deleted, providers push. After each step both sides must come to the same state.

import { until } from './waiting.mjs';
import { CATALOG, component, file, pointer, provided } from './entities.mjs';

// How long a run of one entity takes at most.
const RUN_MS = 30_000;

const filed = (metadata = {}, spec = {}) => component('filed', spec, metadata);
const register = target => ({ method: 'POST', path: '/locations', body: { type: 'url', target } });
const refresh = entityRef => side => side.ask({ method: 'POST', path: '/refresh', body: { entityRef } });
const uidOf = async (side, name) => (await side.get(`/entities/by-name/component/default/${name}`))?.metadata.uid;
const titleOf = (state, name) => state.entities[`component:default/${name}`]?.metadata.title;
const failing = entity => (entity?.status?.items ?? []).length > 0;
const locatedAt = (state, target) => state.locations.find(one => one.target === target);
const generated = (state, target) => state.entities[locatedAt(state, target)?.entityRef];
const managedBy = (state, name) =>
  state.entities[`component:default/${name}`]?.metadata.annotations['backstage.io/managed-by-location'];
const has =
  (...names) =>
  state =>
    names.every(name => state.entities[`component:default/${name}`]);
// Also from its owner.
const gone = (state, name) =>
  lacks(name)(state) && !state.entities['group:default/team-a'].relations[`ownerOf component:default/${name}`];
const lacks =
  (...names) =>
  state =>
    names.every(name => !state.entities[`component:default/${name}`]);

const removal = target => async side => {
  const { data } = (await side.get('/locations')).find(one => one.data.target === target);
  return { method: 'DELETE', path: `/locations/${data.id}` };
};

// Has Backstage look for orphans once more, so that the next time is 30 s away: what is an orphan until then can be seen.
async function sweep(side) {
  const tasks = '/.backstage/scheduler/v1/tasks';
  const ended = async () => {
    const { taskState } = (await side.get(tasks)).tasks.find(({ taskId }) => taskId === 'catalog_orphan_cleanup');
    return taskState?.status === 'idle' ? taskState.lastRunEndedAt : undefined;
  };
  const before = await until(ended, RUN_MS);
  await side.ask({ method: 'POST', path: `${tasks}/catalog_orphan_cleanup/trigger` });
  await until(async () => ![undefined, before].includes(await ended()), RUN_MS);
}

// Until the probes: what they are about. Returns the ids of the registered location, by side.
export async function begin(pair, files) {
  await pair.settle('an empty catalog', ({ entities }) => Object.keys(entities).length === 0);
  const added = CATALOG.map(entity => ({ entity, locationKey: 'first' }));
  await pair.both(side => side.push('first', { type: 'full', added }));
  await pair.settle('a full mutation', ({ entities }) => Object.keys(entities).length === CATALOG.length);
  files.write('all.yaml', file(filed(), pointer('pointer', './more.yaml')));
  files.write('more.yaml', file(component('moved'), component('stays')));
  const replies = await pair.compare('a location is registered', register(files.url('all.yaml')));
  await pair.settle('what it points at is served', has('moved', 'stays', 'filed'));
  return Object.fromEntries(pair.sides.map(({ name }, which) => [name, replies[which].body.location.id]));
}

// After the probes: everything that changes.
export async function live(pair, files) {
  await changeAndBreak(pair, files);
  await registerNothing(pair, files);
  await failAlone(pair, files);
  await deleteByUid(pair);
  await contend(pair, files);
  await share(pair, files);
  await provide(pair, files);
  await move(pair, files);
  await orphan(pair, files);
  await changeLocations(pair, files);
}

async function changeAndBreak(pair, files) {
  const all = files.url('all.yaml');
  const good = file(filed(), pointer('pointer', './more.yaml'));
  const write = async text => {
    files.write('all.yaml', text);
    await pair.both(refresh('component:default/filed'));
  };
  await write(file(filed({ title: 'Changed' }), pointer('pointer', './more.yaml')));
  await pair.settle('a file changes', state => titleOf(state, 'filed') === 'Changed');
  const broken = {
    'a file is no YAML': 'a: [',
    'a file has a text for a document': 'hello',
    'a file has a document without a kind': file({ apiVersion: 'v1', metadata: { name: 'x' } }),
    'a file has a kind that no rule allows': file({ ...filed(), kind: 'Template' }),
  };
  for (const [what, text] of Object.entries(broken)) {
    await write(text);
    await pair.settle(what, state => failing(generated(state, all)));
    await write(good);
    await pair.settle(`${what}, and is mended`, state => !failing(generated(state, all)));
  }
  files.remove('all.yaml');
  await pair.both(refresh('component:default/filed'));
  await pair.settle('a file goes', state => failing(generated(state, all)));
  await write(good);
  await pair.settle('a file comes back', state => !failing(generated(state, all)));
  await write(
    file(filed({ title: 'Good' }), { apiVersion: 'v1', metadata: { name: 'x' } }, pointer('pointer', './more.yaml')),
  );
  const taken = (state, { name }) =>
    failing(generated(state, all)) && (name === 'Backstage' || titleOf(state, 'filed') === 'Good');
  await pair.settle('a file has one bad document', taken);
  await write(good);
  await pair.settle('a file has one bad document, and is mended', state => !failing(generated(state, all)));
}

// An entity fails, and not its file.
async function failAlone(pair, files) {
  const write = async (...entities) => {
    files.write('all.yaml', file(...entities, pointer('pointer', './more.yaml')));
    await pair.both(refresh('component:default/filed'));
  };
  await write(filed({ title: 'Bad' }, { owner: undefined }), component('never', { lifecycle: undefined }));
  await pair.settle('an entity fails, and one that was never served', state =>
    failing(state.entities['component:default/filed']),
  );
  await until(async () => (await pair.greenroom.get('/entities/unprocessed/failed')).entities.length > 0, RUN_MS);
  await pair.compare('by name: an entity that was never served', { path: '/entities/by-name/component/default/never' });
  await pair.compare('unprocessed: failed', { path: '/entities/unprocessed/failed' }, { unordered: true });
  await pair.compare('unprocessed: pending, and what fails', { path: '/entities/unprocessed/pending' }, { unordered: true });
  await pair.compare(
    'unprocessed: failed, of an owner',
    { path: '/entities/unprocessed/failed?owner=team-a' },
    { unordered: true },
  );
  await pair.compare(
    'unprocessed: pending, of an owner',
    { path: '/entities/unprocessed/pending?owner=team-a' },
    { unordered: true },
  );
  await write(filed());
  await pair.settle('they are mended', state => !failing(state.entities['component:default/filed']));
}

// Locations whose file was never there, may not be read, or has a source that does not answer.
async function registerNothing(pair, files) {
  files.fail('down.yaml', 503);
  const down = files.url('down.yaml');
  await pair.compare('a location that is down is registered', register(down));
  await pair.settle('what is down is not served', state => locatedAt(state, down));
  // Its row is there at once, and is whole when a run of it has ended.
  await until(
    async () => (await pair.backstage.get('/entities/unprocessed/pending')).entities[0]?.errors.length > 0,
    RUN_MS,
  );
  await pair.compare('unprocessed: pending', { path: '/entities/unprocessed/pending' }, { unordered: true });
  const others = { 'of nothing': files.url('none.yaml'), 'that may not be read': 'http://127.0.0.1:1/any.yaml' };
  for (const [what, target] of Object.entries(others)) {
    await pair.compare(`a location ${what} is registered`, register(target));
    const registered = (state, { name }) =>
      locatedAt(state, target) && (name === 'Backstage' || failing(generated(state, target)));
    await pair.settle(`a location ${what}`, registered);
    await pair.compare(`a location ${what} is tried`, { ...register(target), path: '/locations?dryRun=true' });
  }
  for (const target of [down, ...Object.values(others)])
    await pair.compare(`it is removed: ${target.split('/').at(-1)}`, removal(target));
  await pair.settle('they are removed', state => !locatedAt(state, down));
}

async function deleteByUid(pair) {
  const before = await pair.both(side => uidOf(side, 'filed'));
  await pair.compare('an entity of a file is deleted', async side => ({
    method: 'DELETE',
    path: `/entities/by-uid/${await uidOf(side, 'filed')}`,
  }));
  await pair.settle('it comes back as another', state => {
    const uid = state.entities['component:default/filed']?.metadata.uid;
    return uid && !before.includes(uid);
  });
  await pair.compare('an entity of a provider is deleted', async side => ({
    method: 'DELETE',
    path: `/entities/by-uid/${await uidOf(side, 'odd')}`,
  }));
  await pair.settle('it is gone', lacks('odd'));
  const added = CATALOG.map(entity => ({ entity, locationKey: 'first' }));
  await pair.both(side => side.push('first', { type: 'full', added }));
  await pair.settle('the provider brings it back', has('odd'));
}

// Two files claim one entity. Who lost in Backstage stays without it when the owner goes, since the run that lost is remembered,
// and gets it when its file changes.
async function contend(pair, files) {
  const rival = title => file(filed({ title: 'Of another file' }), component('beside', {}, { title }));
  const other = files.write('other.yaml', rival('One'));
  await pair.compare('a location claims an entity of another', register(other));
  await pair.settle('the first keeps it', has('filed', 'beside'));
  await sweep(pair.backstage);
  files.write('all.yaml', file(component('instead'), pointer('pointer', './more.yaml')));
  await pair.both(refresh('component:default/filed'));
  const givenUp = (state, { name }) =>
    has('instead')(state) && (name === 'Backstage' ? gone(state, 'filed') : titleOf(state, 'filed') === 'Of another file');
  await pair.settle('the first gives it up', givenUp);
  files.write('other.yaml', rival('Two'));
  await pair.both(refresh('component:default/beside'));
  await pair.settle(
    'the second takes it',
    state => titleOf(state, 'filed') === 'Of another file' && titleOf(state, 'beside') === 'Two',
  );
  await pair.compare('the second goes', removal(other));
  await pair.settle('the second is gone', lacks('filed', 'beside'));
  files.write('all.yaml', file(filed(), pointer('pointer', './more.yaml')));
  await pair.both(refresh('component:default/instead'));
  await pair.settle('the first has it again', has('filed'));
}

// Two Locations emit the same file.
async function share(pair, files) {
  files.write('shared.yaml', file(component('shared')));
  const targets = ['one', 'two'].map(name => files.write(`${name}.yaml`, file(pointer(`pointer-${name}`, './shared.yaml'))));
  for (const target of targets) await pair.both(side => side.ask(register(target)));
  await pair.settle(
    'two files name a third',
    state => has('shared')(state) && state.entities['location:default/pointer-two'],
  );
  await pair.compare('ancestry: of what two emit', { path: '/entities/by-name/component/default/shared/ancestry' });
  for (const target of targets) {
    await pair.compare(`a location is removed: ${target.split('/').at(-1)}`, removal(target));
  }
  await pair.settle('both are removed', lacks('shared'));
}

async function provide(pair, files) {
  const push = (provider, mutation) => pair.both(side => side.push(provider, mutation));
  const add = (name, title, locationKey, spec) => ({
    entity: component(name, spec, { title }),
    ...(locationKey && { locationKey }),
  });
  await push('second', { type: 'delta', added: [add('pushed', 'One', 'second'), add('pushed-too', 'One', 'second')] });
  await pair.settle('a delta adds', has('pushed', 'pushed-too'));
  await push('second', {
    type: 'delta',
    added: [add('pushed', 'Two', 'second')],
    removed: ['component:default/pushed-too'],
  });
  await pair.settle(
    'a delta changes and removes',
    state => titleOf(state, 'pushed') === 'Two' && lacks('pushed-too')(state),
  );
  await push('second', { type: 'delta', added: [], removed: ['component:default/odd', 'component:default/none'] });
  await push('second', { type: 'delta', added: [add('odd', 'Of the second', 'second'), add('after', 'One', 'second')] });
  await pair.settle('a provider does not take what is of another', has('odd', 'after'));
  await push('second', { type: 'delta', added: [add('keyless', 'One')] });
  await pair.settle('a delta adds without a location key', has('keyless'));
  await push('first', { type: 'delta', added: [add('keyless', 'Two', 'first')] });
  await pair.settle('a key takes what has none', state => titleOf(state, 'keyless') === 'Two');
  await push('second', { type: 'delta', added: [add('keyless', 'Three')] });
  await push('second', { type: 'delta', added: [add('after', 'Two', 'second')] });
  await pair.settle('no key takes nothing', state => titleOf(state, 'after') === 'Two');
  await push('second', { type: 'delta', added: [add('after', 'Three', 'another')] });
  await pair.settle('a provider changes a key of its own', state => titleOf(state, 'after') === 'Three');
  await push('second', { type: 'full', added: [add('pushed', 'Three', 'second'), optional(files.url('none.yaml'))] });
  await pair.settle(
    'a full mutation removes',
    state => titleOf(state, 'pushed') === 'Three' && state.entities['location:default/optional'] && lacks('after')(state),
  );
  await push('second', { type: 'full', added: [] });
  await pair.settle('a full mutation of nothing', lacks('pushed'));
}

// A Location that a provider pushes, and whose target is not there, though it may be missing.
const optional = target => ({
  entity: provided('Location', 'optional', { spec: { type: 'url', target, presence: 'optional' } }),
  locationKey: 'second',
});

// An entity moves to another file: what was said of two files that claim one entity.
async function move(pair, files) {
  const before = await pair.both(side => uidOf(side, 'moved'));
  const whole = title => file(filed({ title }), component('moved'), pointer('pointer', './more.yaml'));
  await sweep(pair.backstage);
  files.write('more.yaml', file(component('stays')));
  files.write('all.yaml', whole('One'));
  await pair.both(refresh('component:default/moved'));
  const there = state => managedBy(state, 'moved') === `url:${files.url('all.yaml')}`;
  const moved = (state, { name }) =>
    titleOf(state, 'filed') === 'One' && (name === 'Backstage' ? gone(state, 'moved') : there(state));
  await pair.settle('an entity moves to another file', moved);
  files.write('all.yaml', whole('Two'));
  await pair.both(refresh('component:default/filed'));
  await pair.settle('the other file changes', state => titleOf(state, 'filed') === 'Two' && there(state));
  const after = await pair.both(side => uidOf(side, 'moved'));
  pair.note('the uid of what moved', ...before.map((uid, which) => (uid === after[which] ? 'kept' : 'another')));
}

async function orphan(pair, files) {
  await sweep(pair.backstage);
  files.write('more.yaml', file(component('instead')));
  await pair.both(refresh('component:default/stays'));
  await pair.settle(
    'a file drops an entity',
    state =>
      has('instead')(state) &&
      state.entities['component:default/stays']?.metadata.annotations['backstage.io/orphan'] === 'true',
  );
  await pair.settle('an orphan goes', lacks('stays'));
}

async function changeLocations(pair, files) {
  const idOf = async (side, target) => (await side.get('/locations')).find(({ data }) => data.target === target).data.id;
  const all = files.url('all.yaml');
  const another = files.write('another.yaml', file(component('of-another')));
  await pair.compare('another location is registered', register(another));
  await pair.settle('another location', has('of-another'));
  const moved = files.write('moved.yaml', file(component('elsewhere-filed')));
  const put = target => async side => ({
    method: 'PUT',
    path: `/locations/${await idOf(side, all)}`,
    body: { type: 'url', target },
  });
  await pair.compare('a location is pointed where another is', put(another));
  await pair.compare('a location is pointed elsewhere', put(moved));
  await pair.settle(
    'what was there goes',
    state => has('elsewhere-filed')(state) && lacks('filed', 'moved', 'instead')(state),
  );
  await pair.compare('a location is removed', removal(moved));
  await pair.compare('what it brought', { path: '/entities/by-name/component/default/elsewhere-filed' });
  await pair.settle('it is removed', lacks('elsewhere-filed'));
}
