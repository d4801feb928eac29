// Entities that are hard to search: names in every casing, texts that are wildcards, separators or markup elsewhere, letters
// that change length when their case does, values at and over the longest that is searchable, nulls, nesting, odd keys.
//
// All of them are valid, so that every one is served. Keys of one entity never differ by case alone: such an entity has no
// search rows and is an error in both.

export const TEXTS = [
  'plain',
  'Plain',
  'PLAIN',
  'plainer',
  'two words',
  ' spaced ',
  '',
  '0',
  '1',
  '01',
  '1.0',
  '-1',
  '1e3',
  'true',
  'TRUE',
  'False',
  'null',
  'a,b',
  'k=v',
  '=',
  ',',
  '%',
  '_',
  'a%b',
  'a_b',
  'acb',
  '\\',
  "O'Brien",
  '"quoted"',
  '<b>&amp;</b>',
  '../../etc/passwd',
  '${jndi}',
  'line\nbreak',
  'tab\there',
  'Straße',
  'STRASSE',
  'strasse',
  'İstanbul',
  'istanbul',
  'ΟΔΟΣ',
  'οδος',
  'οδοσ',
  'Ⅷ',
  'ⅷ',
  '\u212aelvin',
  'kelvin',
  'é',
  'e\u0301',
  '日本語',
  'العربية',
  '😀',
  '～',
  '\ue000',
  '\u{1f600}\u{1f601}',
  'ǅ',
  '\u200b',
  '\ufeffmark',
  '\u0085next',
  '\u00a0wide\u3000',
  'group:default/owners',
];
const LONG = [200, 201, 400]
  .flatMap(length => ['x', 'É', '字'].map(letter => letter.repeat(length)))
  .concat(['İ'.repeat(66), 'İ'.repeat(101), '😀'.repeat(100), '😀'.repeat(101)]);
const NUMBERS = [0, 1, -1, 1.5, 1e3, 1e21, 1e-7, 123456789012, 9007199254740991, 0.1];
// No `toString`: the in-memory client calls it.
const KEYS = [
  'plain',
  'camelCase',
  'with.dot',
  'a',
  'a.b',
  'with space',
  'ключ',
  '$dollar',
  '__proto__',
  'constructor',
  'length',
  'key=value',
  'x/y-z',
  'k'.repeat(194),
  'k'.repeat(195),
  'k'.repeat(230),
];
const LANGUAGES = ['java', 'go', 'rust', 'c++', 'c#', 'a:b'];
const KINDS = ['Component', 'API', 'Resource', 'System', 'Domain', 'Group', 'User'];

function text(random) {
  return random.chance(0.12) ? random.pick(LONG) : random.pick(TEXTS);
}

function scalar(random) {
  const which = random.below(10);
  if (which < 6) return text(random);
  if (which < 8) return random.pick(NUMBERS);
  return random.pick([true, false, null]);
}

function value(random, depth) {
  const which = random.below(depth > 2 ? 6 : 10);
  if (which < 6) return scalar(random);
  if (which < 8) return random.some(0, 4, () => value(random, depth + 1));
  return object(random, depth + 1);
}

function object(random, depth) {
  const made = {};
  const lowered = new Set();
  for (const key of random.some(0, 4, () => random.pick(KEYS))) {
    if (lowered.has(key.toLowerCase())) continue;
    lowered.add(key.toLowerCase());
    // Not an assignment: `__proto__` is a key like any other.
    Object.defineProperty(made, key, { value: value(random, depth), enumerable: true, configurable: true, writable: true });
  }
  return made;
}

const NAME_LETTERS = 'abzABZ019-_.';

function name(random, number) {
  const letters = random.some(0, random.chance(0.1) ? 56 : 8, () => random.pick([...NAME_LETTERS])).join('');
  // Unique, and without a `-`, `_` or `.` at an end.
  return `${random.pick(['n', 'N', '0'])}${letters}${number}`;
}

function spec(random, kind, refs) {
  const owner = random.pick(['owners', 'group:default/owners', 'User:other/Jane', random.pick(refs)]);
  switch (kind) {
    case 'Component':
      return {
        type: text(random) || 'x',
        lifecycle: random.pick(['production', 'Production', 'experimental']),
        owner,
        dependsOn: random.some(0, 3, () => random.pick(refs)),
      };
    case 'API':
      return { type: 'openapi', lifecycle: 'production', owner, definition: text(random) || 'x' };
    case 'Resource':
      return { type: random.pick(['database', 'bucket']), owner };
    case 'System':
    case 'Domain':
      return { owner };
    case 'Group':
      return { type: 'team', children: [], members: random.some(0, 2, () => random.pick(['jane', 'User:other/jane'])) };
    default:
      return { memberOf: random.some(0, 2, () => 'owners'), profile: { displayName: text(random) || 'x' } };
  }
}

// Whether two paths of the search rows are equal but for case, list items included: such an entity is refused.
function collides(entity) {
  const keys = new Map();
  const visit = (path, current) => {
    if (Array.isArray(current)) {
      const items = new Set();
      for (const item of current) {
        visit(path, item);
        if (typeof item === 'string' && !items.has(`${path}.${item}`.toLowerCase())) {
          items.add(`${path}.${item}`.toLowerCase());
          note(`${path}.${item}`);
        }
      }
    } else if (typeof current === 'object' && current !== null) {
      for (const [key, inner] of Object.entries(current)) visit(path ? `${path}.${key}` : key, inner);
    } else {
      note(path);
    }
  };
  let clash = false;
  const note = key => {
    const known = keys.get(key.toLowerCase());
    clash ||= known !== undefined && known !== key;
    keys.set(key.toLowerCase(), key);
  };
  visit('', entity);
  return clash;
}

export function makeEntities(random, count) {
  const refs = [];
  const entities = [];
  for (let number = 0; entities.length < count; number += 1) {
    const kind = random.pick(KINDS);
    const namespace = random.pick([undefined, 'default', 'other', 'ns-2']);
    const metadata = { name: name(random, number) };
    if (namespace) metadata.namespace = namespace;
    if (random.chance(0.4)) metadata.title = text(random) || 'x';
    if (random.chance(0.4)) metadata.description = text(random);
    if (random.chance(0.5)) metadata.tags = [...new Set(random.some(0, 3, () => random.pick(LANGUAGES)))];
    if (random.chance(0.4))
      metadata.labels = { tier: random.pick(['1', '2', 'Gold', 'gold', '']), 'example.com/Label': 'x' };
    if (random.chance(0.5)) metadata.annotations = { 'example.com/note': text(random), UPPER: text(random) };
    if (random.chance(0.3))
      metadata.links = random.some(1, 2, () => ({ url: 'https://example.com/', title: text(random) || 'x' }));
    const known = refs.length > 0 ? refs : ['component:default/nobody'];
    const entity = { apiVersion: 'backstage.io/v1alpha1', kind, metadata, spec: spec(random, kind, known) };
    for (let extra = random.below(3); extra > 0; extra -= 1) {
      entity.spec[random.pick(['nested', 'list', 'level', 'flag', 'note'])] = value(random, 0);
    }
    if (random.chance(0.5)) entity.spec.level = scalar(random);
    if (random.chance(0.5)) entity.spec.note = text(random);
    if (random.chance(0.2)) entity.spec.dotted = { a: { b: scalar(random) }, 'a.b': scalar(random) };
    if (random.chance(0.2))
      entity.spec.spellings = random.some(1, 3, () => random.pick(['Plain', 'PLAIN', 'plain', 'other']));
    if (collides(entity)) continue;
    refs.push(`${kind}:${namespace ?? 'default'}/${metadata.name}`);
    entities.push(entity);
  }
  return entities;
}
