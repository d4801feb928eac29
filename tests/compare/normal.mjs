// A reply in the shape that is compared: without what is drawn, timed or counted by each side for itself.

// Headers that are compared. The rest is of one connection, or of a body that is compared anyway.
const IGNORED_HEADERS = ['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding'];

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;
const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g;

export function normalReply({ status, headers, body }, side, { unordered = false } = {}) {
  const kept = Object.entries(headers).filter(([name]) => !IGNORED_HEADERS.includes(name));
  return {
    status,
    headers: Object.fromEntries(kept.map(([name, value]) => [name, normalText(String(value), side)])),
    body: normal(unordered ? ordered(body) : body, side),
  };
}

// A value without drawn ids, etags, cursors, times and ids of log lines.
export function normal(value, side) {
  if (typeof value === 'string') return normalText(value, side);
  if (Array.isArray(value)) return value.map(inner => normal(inner, side));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [normalText(key, side), named(key, inner) ?? normal(inner, side)]),
  );
}

function named(key, value) {
  if (key === 'etag' && /^[0-9a-f]{40,64}$/.test(value)) return '<etag>';
  if (/^(next|prev)Cursor$/.test(key) && typeof value === 'string') return '<cursor>';
  return undefined;
}

function normalText(text, side) {
  return text
    .replaceAll(side.origin, '<origin>')
    .replace(UUID, '<uuid>')
    .replace(TIME, '<time>')
    .replace(/logId=[0-9a-f]+/g, 'logId=<id>')
    .replace(/\b(after|cursor)=[A-Za-z0-9+/%=_-]{12,}/g, '$1=<cursor>')
    .replace(/^W?\/?"[^"]*"$/, '<etag>');
}

export const refOf = ({ kind, metadata }) => `${kind}:${metadata?.namespace ?? 'default'}/${metadata?.name}`.toLowerCase();

// What a list is sorted by where nothing was said of its order.
function keyOf(one) {
  const inner = one?.data ?? one?.entity ?? one;
  if (inner?.kind) return refOf(inner);
  if (inner?.target) return `${inner.type}:${inner.target}`;
  if (inner?.name) return inner.name;
  return JSON.stringify(inner);
}

// A body with its lists in an order that both sides share.
export function ordered(body) {
  if (Array.isArray(body)) return [...body].sort(byKey);
  if (typeof body !== 'object' || body === null) return body;
  const lists = Object.entries(body).map(([key, value]) => {
    if (key === 'facets')
      return [key, Object.fromEntries(Object.entries(value).map(([facet, counts]) => [facet, ordered(counts)]))];
    return [key, ['items', 'entities', 'tasks', 'permissions', 'rules'].includes(key) ? ordered(value) : value];
  });
  return Object.fromEntries(lists);
}

function byKey(left, right) {
  const [one, other] = [keyOf(left), keyOf(right)];
  return one < other ? -1 : Number(one > other);
}
