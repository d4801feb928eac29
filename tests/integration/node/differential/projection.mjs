// Keeping only some fields of an entity, as ref 7.5 says. Keys are plain data: `__proto__` is one like any other.

// The entity with these fields alone.
export function project(entity, fields) {
  const kept = {};
  for (const field of fields) {
    const keys = [];
    const value = follow(entity, field, keys);
    if (value !== undefined) put(kept, keys, value);
  }
  return kept;
}

// The value at a path: parts are joined until a key matches, the shortest first; a part that matched is not taken back.
function follow(value, path, keys) {
  let rest = path.split('.');
  let current = value;
  while (rest.length > 0) {
    if (typeof current !== 'object' || current === null || Array.isArray(current)) return undefined;
    const inner = current;
    const length = rest.findIndex((_, at) => Object.hasOwn(inner, rest.slice(0, at + 1).join('.'))) + 1;
    if (length === 0) return undefined;
    const key = rest.slice(0, length).join('.');
    keys.push(key);
    current = current[key];
    rest = rest.slice(length);
  }
  return current;
}

function put(kept, keys, value) {
  const parent = keys.slice(0, -1).reduce((object, key) => {
    if (!Object.hasOwn(object, key)) define(object, key, {});
    return object[key];
  }, kept);
  define(parent, keys.at(-1), value);
}

function define(object, key, value) {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}
