// Where the in-memory client is known to differ from the backend it stands for, and we follow the backend.
//
// Each row says what is different, why the backend's way is ours, and `when`: the least that must be true of the request and the
// entity for the row to explain a difference. A row never permits an answer. What we expect is computed (`oracle.mjs`); a row
// permits the in-memory client to have said something else. A row that explains nothing in a whole run fails the run: it is
// gone from the client, or the requests have become too tame.
//
// By where the difference shows:
//   condition   one condition on one entity; `row` is what is searchable of the entity under the key of the condition
//   record      one record of a filter on one entity
//   text        a full-text condition on one entity; `rows` are what is searchable of it under the `keys` asked for
//   order       the order of all; `paged` for `/entities` with pages
//   fields      one field of one entity
//   facets      the values of one key
//   cursor      a request that the in-memory client fails
//   page        the borders and the total of a page
//
// `make compare` asks a live backend the same requests: where the two differ, it decides. Each row is what it answers, but for
// one that has `ours`, which names the row of docs/compatibility.md by which we differ from both.
//
// Numbers in reasons are sections of the behaviour reference.

const isScalar = value => value === null || typeof value !== 'object';

// What stands at a path when dots in keys are tried both ways, as the in-memory client looks for it; lists are not entered.
function at(value, path) {
  if (isScalar(value) || Array.isArray(value)) return undefined;
  for (const key of Object.keys(value)) {
    if (key === path && value[key] !== undefined) return value[key];
    if (path.startsWith(`${key}.`)) {
      const found = at(value[key], path.slice(key.length + 1));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

// How many values stand at a path, whichever way its dots are read.
function count(value, path) {
  if (isScalar(value) || Array.isArray(value)) return 0;
  return Object.keys(value).reduce(
    (sum, key) =>
      sum + (key === path ? 1 : 0) + (path.startsWith(`${key}.`) ? count(value[key], path.slice(key.length + 1)) : 0),
    0,
  );
}

const operandsOf = ({ predicate }) => {
  const [condition] = Object.values(predicate ?? {});
  return isScalar(condition) ? [condition] : Object.values(condition).flat();
};

// Rows on conditions of predicates begin so: the in-memory client looks for the key in the body, the backend among what it made
// searchable of it (the rows of a filter).
const predicate = (name, reason, when) => ({
  where: 'condition',
  name,
  reason,
  when: context => context.leaf.predicate !== undefined && when({ ...context, found: at(context.entity, context.leaf.key) }),
});

export const KNOWN = [
  {
    where: 'condition',
    name: 'values over 200 units only exist',
    reason:
      'the backend stores no value longer than 200 UTF-16 units (5.7), so that nothing but existence can be asked of it',
    when: ({ leaf, row }) => leaf.exists === undefined && row.overlong > 0,
  },
  {
    where: 'condition',
    name: 'filter keys are found in any case',
    reason: 'the backend lower-cases the keys of entities (5.7), the in-memory client only those of the filter',
    when: ({ leaf, row }) => leaf.predicate === undefined && row.capital,
  },
  {
    where: 'condition',
    name: 'keys over 200 units are not searchable',
    reason: 'the backend drops them (5.7)',
    when: ({ leaf }) => leaf.key.toLowerCase().length > 200,
  },
  predicate(
    'predicate keys have no case',
    'the backend lower-cases the key (7.4)',
    ({ leaf, found }) => found === undefined && leaf.key !== leaf.key.toLowerCase(),
  ),
  predicate(
    'predicate keys are found in any case',
    'the backend lower-cases the key of the entity too (5.7)',
    ({ leaf, row, found }) => found === undefined && row.exists && leaf.key === leaf.key.toLowerCase(),
  ),
  predicate(
    'lists are searched by their items',
    'the backend gives each item of a list the key of the list (5.7)',
    ({ found }) => Array.isArray(found),
  ),
  predicate(
    'objects have no value of their own',
    'only scalars are searchable (5.7): an object, or a list of nothing, does not exist as a key',
    ({ leaf, row, found }) => leaf.exists !== undefined && typeof found === 'object' && found !== null && !row.exists,
  ),
  predicate(
    'values are compared as texts',
    'the backend compares `String(value)` (7.4), so `true` is "true", and a number has prefixes and contains itself',
    ({ leaf, found }) =>
      ['boolean', 'number'].includes(typeof found) || operandsOf(leaf).some(operand => typeof operand === 'boolean'),
  ),
  predicate(
    'a value contains itself',
    '`$contains` with a scalar is equality (7.4)',
    ({ leaf, found }) =>
      isScalar(found) && Object.values(leaf.predicate).some(condition => condition?.$contains !== undefined),
  ),
  predicate(
    'texts are compared in lower case',
    'the backend lower-cases (5.7), the in-memory client upper-cases: ß and SS, final sigma, dotted i',
    ({ leaf, found }) =>
      typeof found === 'string' && [found, ...operandsOf(leaf)].some(text => /[^\x00-\x7f]/.test(String(text))),
  ),
  predicate(
    'a path may mean several values',
    'the backend matches any of them (7.4): `a.b` is a key with a dot as well as a key below another',
    ({ leaf, entity }) => count(entity, leaf.key) > 1,
  ),
  predicate(
    'some of an entity is not searchable',
    'status, etag and the relations themselves have no rows (5.7)',
    ({ leaf, row }) => /^(metadata\.etag|status|relations)(\.|$)/.test(leaf.key) && !row.exists,
  ),
  {
    where: 'record',
    name: 'a list does not end a record',
    reason:
      'the keys of a record are all required (7.3); the in-memory client looks at none after the first that has a list of values',
    when: ({ record }) => Object.values(record).slice(0, -1).some(Array.isArray),
  },
  {
    where: 'text',
    name: 'full text is not in values over 200 units',
    reason: 'the backend stores none (5.7)',
    when: ({ rows }) => rows.some(row => row.overlong > 0),
  },
  {
    where: 'text',
    name: 'full text is not in keys over 200 units',
    reason: 'the backend drops them (5.7)',
    when: ({ keys }) => keys.some(key => key.length > 200),
  },
  {
    where: 'order',
    name: 'ties go by uid',
    reason: 'the backend breaks ties by uid (7.6, 7.7), the in-memory client by ref',
    when: ({ ties }) => ties,
  },
  {
    where: 'order',
    name: 'what lacks the field is left out',
    reason: 'the backend orders by the rows of the field (7.6, 7.7); the in-memory client puts the rest last',
    when: ({ paged, lacking }) => !paged && lacking,
  },
  {
    where: 'order',
    name: 'several values are several rows',
    reason: 'an entity repeats for each value of the field (7.6, 7.7)',
    when: ({ several }) => several,
  },
  {
    where: 'order',
    name: 'one order field counts',
    reason: 'by-query and a list without pages honour the first only (7.6, 7.7)',
    when: ({ paged, order }) => !paged && order.length > 1,
  },
  {
    where: 'order',
    name: 'pages of a list are ordered by fields as written',
    reason: 'a field with a capital sorts nothing there (7.6)',
    when: ({ paged, order }) => paged && order.some(({ field }) => field !== field.toLowerCase()),
  },
  {
    where: 'order',
    name: 'texts are ordered by code point',
    reason: "we order by UTF-8 bytes, a collation being the database's affair (trap 17); JavaScript by UTF-16 units",
    when: ({ texts }) =>
      texts.some(text => /[\ud800-\udfff]/.test(text)) && texts.some(text => /[\ue000-\uffff]/.test(text)),
  },
  {
    where: 'order',
    name: 'values over 200 units do not sort',
    reason: 'the backend stores none (5.7)',
    when: ({ overlong }) => overlong,
  },
  {
    where: 'order',
    name: 'keys over 200 units do not sort',
    reason: 'the backend drops them (5.7)',
    when: ({ order }) => order.some(({ field }) => field.length > 200),
  },
  {
    where: 'order',
    name: 'pages of a list without an order go by ref',
    reason: 'as in the backend (7.6); the in-memory client keeps the order in which it was given the entities',
    when: ({ paged, order }) => paged && order.length === 0,
  },
  {
    where: 'fields',
    name: 'only keys of objects are fields',
    ours: '`fields` into a list or a text, or of what is inherited',
    reason:
      'fields are keys of objects, and nothing is inherited; the in-memory client indexes lists, as the backend does, and does not write `__proto__`',
    when: ({ field }) => /(^|\.)(\d+|length|constructor|toString|__proto__)(\.|$)/.test(field),
  },
  {
    where: 'facets',
    name: 'facets count no values over 200 units',
    reason: 'the backend stores none (5.7)',
    when: ({ rows }) => rows.some(row => row.overlong > 0),
  },
  {
    where: 'facets',
    name: 'facets count no keys over 200 units',
    reason: 'the backend drops them (5.7)',
    when: ({ key }) => key.length > 200,
  },
  {
    where: 'facets',
    name: 'an entity counts once for the spellings of a value',
    reason: 'rows are unique by lower-cased value (5.7)',
    when: ({ rows }) => rows.some(row => row.spellings > row.values.length),
  },
  {
    where: 'facets',
    name: 'names keep their spelling in facets',
    reason: 'facets show the original value (7.2); the in-memory client lower-cases these three',
    when: ({ key }) => /^metadata\.(name|namespace)$/i.test(key),
  },
  {
    where: 'facets',
    name: 'facets are ordered by value',
    reason: 'as in the backend (7.2); the in-memory client keeps the order in which it met them',
    when: ({ sameCounts }) => sameCounts,
  },
  {
    where: 'page',
    name: 'a page of nothing ends',
    reason: '`limit` 0 asks for the total alone (7.7); the in-memory client gives a cursor to the same page',
    when: ({ request }) => request.limit === 0,
  },
  {
    where: 'page',
    name: 'the first page has none before it',
    reason: '`prevCursor` is on pages that are not the first (7.7); the in-memory client looks at the offset',
    when: ({ request }) => request.offset > 0,
  },
  {
    where: 'page',
    name: 'the total can be left out',
    reason: '`totalItems=exclude` answers 0 (7.7); the in-memory client counts',
    when: ({ request }) => request.totalItems === 'exclude',
  },
  {
    where: 'cursor',
    name: 'cursors hold any text',
    reason:
      'the backend encodes them as UTF-8 (7.7); the in-memory client fails where a request has a letter beyond Latin-1',
    when: ({ error }) => error.name === 'InvalidCharacterError',
  },
];
