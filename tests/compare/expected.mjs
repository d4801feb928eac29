// The differences that are expected: what each side answers, and the row of docs/compatibility.md that says why. And the rows that
// no scenario shows, with the reason.
//
//   row         the first column of the row, or a line of the list of what is not there
//   at          the name of the comparison
//   path        where in the reply, or in the state; `reply` where the statuses differ
//   backstage, greenroom   what is there: a value, an expression, a function, or ANY

import { ANY, EVERY } from './comparison.mjs';

const NOTHING = '(nothing)';
const TAKEN_OVER = 'an entity that moves to another file; who lost a conflict, when the owner goes';

const one = (row, at, path, backstage, greenroom) => ({ row, at, path, backstage, greenroom });
const reply = (row, at, backstage, greenroom) => one(row, at, 'reply', backstage, greenroom);

const ERROR = '(error|errors/\\d+|status/items/\\d+|status/items/\\d+/error)(/cause)*';

export const EXPECTED = [
  // --- Any reply ---
  one('any reply', 'entities: compressed by br', 'headers/content-encoding', 'br', NOTHING),
  one('any reply', 'entities: compressed by br', 'body', '<br>', ANY),
  one('headers', /^entities: (PATCH|POST)$/, 'headers/allow', NOTHING, 'GET,HEAD'),
  one(
    'texts of errors',
    EVERY,
    new RegExp(`(^|/)${ERROR}/message$`),
    text => typeof text === 'string',
    text => typeof text === 'string',
  ),
  one('texts of errors', EVERY, new RegExp('/(cause|status/items/\\d+/error)/name$'), /Error$/, /Error$/),

  // --- Paths, parameters and bodies ---
  reply(
    'a path in another case or with `/` at its end',
    /^(a slash at the end|a route in capitals)$/,
    '200',
    '404',
  ),
  reply('a path that needs a body', 'by refs: compressed', '200', /^415/),
  reply(
    '`/entities/by-refs` with a body above 100 KiB',
    'by refs: a body of 200 KiB',
    /^400 InputError: request entity too large/,
    '200',
  ),
  reply('numbers in parameters', 'entities: a limit of `1e3`', '200', /^400 InputError/),
  reply('`limit` above 10 000; `offset` without `limit`', 'entities: a limit of `99999999999999999999`', /^500/, '200'),
  reply(
    '`limit` on `POST /entities/by-query` below 0',
    'by-query, POST: a limit below 0',
    /^500 RangeError/,
    /^400 InputError/,
  ),
  reply(
    '`filter`, `query`, `fields`, `order`, `facet`',
    'facets: more than are counted',
    '200',
    /^400 InputError: too many facets/,
  ),
  reply('`orderField=x` without a direction', 'by-query: the page behind it', /^400 InputError: Malformed cursor/, '200'),
  one(
    '`fields` into a list or a text, or of what is inherited',
    'entities: fields `metadata.tags.0`',
    /^body\/\d+\/metadata$/,
    ({ tags }) => tags.length === 1,
    NOTHING,
  ),
  one('order of values', 'facets: their order', /^body\/facets\/spec\.type\/\d\/(value|count)$/, ANY, ANY),
  one('order of values', 'second: ordered by values', /^body\/items\/\d\/metadata\/name$/, ANY, ANY),
  one(
    'full text with `%`, `_`, `\\`',
    /^by-query: the text `(%|_|w%p)`$/,
    'body/totalItems',
    number => number > 0,
    number => number < 2,
  ),
  one('full text with `%`, `_`, `\\`', /^by-query: the text `(%|_|w%p)`$/, /^body\/items\/\d+/, ANY, ANY),

  // --- Entities and locations ---
  reply('`GET /locations/:id` with an id that is no UUID', 'location: an id that is no UUID', /^500/, /^404 NotFoundError/),
  reply('`POST /locations` with an empty target', 'locations: an empty target', /^500 TypeError/, /^400 InputError/),
  reply(
    '`/validate-entity` of an entity with managed-by annotations of its own',
    'validate-entity: a placeholder beside an annotation',
    '200',
    /^400 InputError/,
  ),
  reply(
    '`/validate-entity` with a `file:` location, `POST /locations` of type `file`',
    'second: a file is registered',
    '201',
    /^400 InputError/,
  ),
  one(
    '`/analyze-location`',
    'second: analyze-location: a repository, named',
    /^body\/(existingEntityFiles|generateEntities)\/\d$/,
    ANY,
    ANY,
  ),

  // --- Entities that were never served ---
  one(
    '`/entities/unprocessed/failed`',
    /^unprocessed: failed/,
    'body/entities/0',
    NOTHING,
    row => row.entity_ref === 'component:default/never',
  ),
  one(
    '`/entities/unprocessed/pending`',
    /^unprocessed: pending, /,
    'body/entities/0',
    row => row.entity_ref === null,
    NOTHING,
  ),
  one('`/entities/unprocessed/pending`', 'unprocessed: pending', 'body/entities/0/entity_id', null, '<uuid>'),
  one(
    '`/entities/unprocessed/pending`',
    'unprocessed: pending',
    'body/entities/0/entity_ref',
    null,
    /^location:default\/generated-/,
  ),
  one('rows of both', 'unprocessed: pending', 'body/entities/0/errors/0', ({ name }) => name.endsWith('Error'), NOTHING),
  one(
    'rows of both',
    'unprocessed: pending',
    /^body\/entities\/0\/(unprocessed_hash|result_hash|last_discovery_at)$/,
    ANY,
    null,
  ),
  one(
    'rows of both',
    'unprocessed: pending',
    /^body\/entities\/0\/(processed_entity|cache|hash|final_entity|last_updated_at)/,
    ANY,
    NOTHING,
  ),

  // --- The platform ---
  reply('any', 'keys of tokens', '200', /^401/),
  reply('Agent actions (`/.backstage/actions/v1/…`).', 'actions', '200', '404'),
  reply('a permission rule that nobody knows', 'permissions, applied: a rule of nobody', /^500/, /^400 InputError/),
  one('`…/scheduler/v1/tasks`', 'scheduler: tasks', /^body\/tasks\//, ANY, ANY),
  one('`/openapi.json` below the mount', 'openapi.json', /^body\//, ANY, ANY),
  one('readiness', 'health: readiness', 'body/workers', NOTHING, ({ running }) => running === 1),

  // --- What becomes of files ---
  one(
    'one bad document in a file',
    'a file has one bad document',
    'state/entities/component:default/filed/metadata/title',
    NOTHING,
    'Good',
  ),
  one(
    'a Location whose target cannot be read, at first',
    /^a location (of nothing|that may not be read)$/,
    /^state\/entities\/location:default\/generated-/,
    NOTHING,
    ({ status }) => status.items.length === 1,
  ),
  one(
    'an entity that several parents emit',
    'ancestry: of what two emit',
    'body/items/0/parentEntityRefs/1',
    NOTHING,
    'location:default/pointer-two',
  ),
  // Which of them is Backstage's changes from run to run.
  one(
    'an entity that several parents emit',
    /^(two files name a third|ancestry: of what two emit)$/,
    /^(state\/entities\/component:default\/shared|body\/items\/0\/entity)\/metadata\/annotations\/backstage\.io\/managed-by-origin-location$|^body\/items\/(0\/parentEntityRefs\/0|[1-9].*)$/,
    ANY,
    ANY,
  ),
  ...[
    ['the first gives it up', 'filed'],
    ['an entity moves to another file', 'moved'],
  ].flatMap(([at, name]) => [
    one(TAKEN_OVER, at, `state/entities/component:default/${name}`, NOTHING, ({ metadata }) => metadata.name === name),
    one(TAKEN_OVER, at, `state/entities/group:default/team-a/relations/ownerOf component:default/${name}`, NOTHING, {}),
  ]),
  one(TAKEN_OVER, 'the uid of what moved', '', 'another', 'kept'),
];

// Rows that no scenario shows.
export const UNSHOWN = [
  { row: 'before the start has ended', reason: 'a race with the start, which differs from run to run' },
  { row: 'lists after a write by another process', reason: 'a matter of a tenth of a second' },
  {
    row: '`POST /locations?dryRun`, `/validate-entity`, `/analyze-location`',
    reason: 'takes runs that last 20 s, or eight at once; shown by the tests of runs on request',
  },
  {
    row: '`…/permissions/metadata`, `…/apply-conditions`',
    reason: 'takes a permission backend and users; that both answer alike is compared',
  },
  {
    row: 'the target of a location',
    reason: 'would leave a location on one side; shown by the tests of what a location may be',
  },
  { row: 'processing', reason: 'no client sees how often an entity runs; greenroom-bench measures it' },
  {
    row: 'Catalog model sources, and permission rules of other plugins.',
    reason: 'neither is there without a plugin that brings some',
  },
];
