// Filters and predicates as trees of conditions: what each asks of one key, and whether a tree holds.

const asRecords = filter => [filter ?? []].flat();

// The conditions of the records of a filter: alternatives, each of which asks for all of its keys.
export function recordsOf(filter) {
  return asRecords(filter).map(record => ({
    record,
    conditions: Object.entries(record).map(([key, values]) => ({
      key,
      ...testOfStatement(values),
      record: { [key]: values },
    })),
  }));
}

function testOfStatement(values) {
  return values?.exists ? { exists: true } : { values: [values].flat().map(one => one.toLowerCase()) };
}

// What a condition of a predicate asks, and of which key.
export function testOf(key, condition) {
  const texts = list => list.map(one => String(one).toLowerCase());
  if (typeof condition !== 'object') return { key, values: texts([condition]) };
  if ('$exists' in condition) return { key, exists: condition.$exists };
  if ('$in' in condition) return { key, values: texts(condition.$in) };
  if ('$hasPrefix' in condition) return { key, prefix: condition.$hasPrefix.toLowerCase() };
  const wanted = condition.$contains;
  if (typeof wanted !== 'object') return { key, values: texts([wanted]) };
  const relation = `relations.${wanted.type}`;
  if (wanted.targetRef === undefined) return { key: relation, exists: true };
  return { key: relation, values: texts(wanted.targetRef.$in ?? [wanted.targetRef]) };
}

export function holds(tree, entity) {
  if (tree.all) return tree.all.every(inner => holds(inner, entity));
  if (tree.any) return tree.any.some(inner => holds(inner, entity));
  if (tree.not) return !holds(tree.not, entity);
  return tree.ours.has(entity);
}

export function leavesOf(tree) {
  const inner = tree.all ?? tree.any ?? (tree.not ? [tree.not] : undefined);
  return inner ? inner.flatMap(leavesOf) : [tree];
}
