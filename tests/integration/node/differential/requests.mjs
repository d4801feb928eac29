// Requests about given entities: mostly about keys and values that some of them have, in another casing, cut short, of another
// type, or of a key that nobody has.
//
// A request is plain JSON, so that a failure can print it. `{"exists": true}` in a filter stands for `CATALOG_FILTER_EXISTS`.

import { TEXTS } from './entities.mjs';

const ODD_KEYS = [
  'no.such.key',
  'spec',
  'metadata',
  'metadata.etag',
  'status',
  'relations',
  'metadata.tags.Java',
  'metadata.tags.java',
  'APIVERSION',
  'Kind',
  'metadata.annotations',
  'spec.dependsOn',
  'relations.ownedBy',
  'relations.DEPENDSON',
  'relations.memberof',
  'metadata.labels.example.com/label',
  'metadata.uid',
  'metadata.name',
  'metadata.namespace',
  'spec.owner',
  'spec.type',
  'spec.note',
  'spec.level',
  'spec.note',
  'spec.level',
  'kind',
  'kind',
  'spec.dotted.a.b',
  'spec.dotted.a.b',
  'spec.spellings',
];
const ODD_FIELDS = [
  'no.such.path',
  'metadata.tags.0',
  'metadata.tags.length',
  'kind.length',
  'constructor',
  'metadata.toString',
  'spec.',
  '.',
  'metadata..name',
  'KIND',
  'relations',
  'metadata',
  'spec',
  'kind',
  'metadata.name',
  'metadata.annotations.example.com/note',
  'spec.nested.with.dot',
  'spec.nested.a.b',
];

// Every path with a scalar, through objects and lists, and the values it has.
export function survey(entities) {
  const values = new Map();
  const visit = (path, current) => {
    if (Array.isArray(current)) {
      current.forEach(item => visit(path, item));
    } else if (typeof current === 'object' && current !== null) {
      for (const [key, inner] of Object.entries(current)) visit(path ? `${path}.${key}` : key, inner);
    } else {
      if (!values.has(path)) values.set(path, new Set());
      values.get(path).add(current);
    }
  };
  entities.forEach(entity => visit('', entity));
  return new Map([...values].map(([path, seen]) => [path, [...seen]]));
}

const byteLength = text => Buffer.byteLength(text);

export class Requests {
  #random;
  #values;
  #keys;
  #refs;
  #records;
  #leaves;

  constructor(random, entities) {
    this.#random = random;
    this.#values = survey(entities);
    // A key in a URL is no place for a megabyte; every server has a bound on its request line.
    this.#keys = [...this.#values.keys()].filter(key => byteLength(key) < 400 && !/^=|,|\n/.test(key));
    this.#refs = entities.map(({ kind, metadata }) => `${kind}:${metadata.namespace ?? 'default'}/${metadata.name}`);
    // Drawn from a pool, so that what the reference says of each is found once.
    this.#records = Array.from({ length: 250 }, () => this.#statement());
    this.#leaves = Array.from({ length: 400 }, () => this.#leaf());
  }

  next() {
    const make = this.#random.pick([
      this.#list,
      this.#query,
      this.#query,
      this.#queryByPredicate,
      this.#queryByPredicate,
      this.#byRefs,
      this.#facets,
      this.#stream,
    ]);
    return make.call(this);
  }

  #key() {
    const random = this.#random;
    const key = random.chance(0.4) ? random.pick(ODD_KEYS) : random.pick(this.#keys);
    return random.chance(0.15) ? (random.chance(0.5) ? key.toUpperCase() : key.toLowerCase()) : key;
  }

  #valueOf(key) {
    const random = this.#random;
    const known = this.#values.get(key);
    let value = known && random.chance(0.85) ? random.pick(known) : random.pick(TEXTS);
    if (typeof value === 'string') {
      // Whole values that are too long to be found are still asked for; a request line has a bound of its own.
      if (value.length > 210) value = value.slice(0, 210);
      if (random.chance(0.2)) value = random.chance(0.5) ? value.toUpperCase() : value.toLowerCase();
      if (random.chance(0.05)) value = value.slice(0, -1);
      // Cut within a surrogate pair it is no text that a request could hold.
      value = value.toWellFormed();
    }
    return value;
  }

  // One key of a filter record. A filter holds texts only.
  #statement() {
    const random = this.#random;
    const key = this.#key();
    const text = () => String(this.#valueOf(key));
    const which = random.below(10);
    if (which < 2) return [key, { exists: true }];
    if (which < 8) return [key, text()];
    return [key, random.some(1, 3, text)];
  }

  #filter() {
    const random = this.#random;
    const record = () => Object.fromEntries(random.some(1, 3, () => random.pick(this.#records)));
    return random.chance(0.7) ? record() : random.some(1, 3, record);
  }

  // One condition of a predicate, on one key.
  #leaf() {
    const random = this.#random;
    if (random.chance(0.1)) {
      const ref = () => random.pick([random.pick(this.#refs), 'group:default/owners']);
      const type = random.pick(['ownedBy', 'OWNEDBY', 'dependsOn', 'memberOf', 'none']);
      const target = random.pick([
        {},
        { targetRef: ref() },
        { targetRef: ref().toLowerCase() },
        { targetRef: { $in: random.some(1, 3, ref) } },
      ]);
      return { relations: { $contains: { type, ...target } } };
    }
    const key = this.#key();
    // Null is no operand.
    const operand = () => this.#valueOf(key) ?? 'null';
    const condition = random.pick([
      operand,
      operand,
      operand,
      () => ({ $exists: random.chance(0.7) }),
      () => ({ $in: random.some(0, 3, operand) }),
      () => ({ $contains: operand() }),
      () => {
        const text = [...String(operand())];
        return { $hasPrefix: text.slice(0, random.below(Math.min(text.length, 12) + 1)).join('') };
      },
    ])();
    return { [key]: condition };
  }

  #predicate(depth = 0) {
    const random = this.#random;
    const which = random.below(depth > 2 ? 5 : 10);
    const inner = () => this.#predicate(depth + 1);
    if (which < 5) return random.pick(this.#leaves);
    if (which < 6) return Object.assign({}, ...random.some(0, 3, () => random.pick(this.#leaves)));
    if (which < 8) return { [random.pick(['$all', '$any'])]: random.some(0, 3, inner) };
    if (which < 9) return { $not: inner() };
    return { $any: random.some(1, 3, inner) };
  }

  #orders() {
    const random = this.#random;
    const order = () => ({ field: this.#key(), order: random.pick(['asc', 'desc']) });
    const which = random.below(10);
    if (which < 4) return undefined;
    return which < 8 ? order() : random.some(1, 3, order);
  }

  #fields() {
    const random = this.#random;
    if (random.chance(0.6)) return undefined;
    const field = () => (random.chance(0.5) ? random.pick(ODD_FIELDS) : random.pick(this.#keys));
    return random.some(1, 4, field).filter(field => !/[[,]|^\s|\s$/.test(field));
  }

  #fullText() {
    const random = this.#random;
    if (random.chance(0.7)) return undefined;
    const key = this.#key();
    const text = [...String(this.#valueOf(key))];
    const from = random.below(text.length + 1);
    const term = text.slice(from, from + 1 + random.below(8)).join('');
    return random.chance(0.3) ? { term } : { term, fields: [key, ...random.some(0, 2, () => this.#key())] };
  }

  #list() {
    const random = this.#random;
    const request = {
      filter: random.chance(0.8) ? this.#filter() : undefined,
      order: this.#orders(),
      fields: this.#fields(),
    };
    if (random.chance(0.5)) {
      request.limit = random.pick([1, 2, 7, 50, 10_000]);
      if (random.chance(0.5)) request.offset = random.pick([0, 1, 5, 40, 100_000]);
    } else if (random.chance(0.2)) {
      request.after = { limit: random.pick([1, 9]), offset: random.pick([0, 3, 11]) };
    }
    return { call: 'getEntities', request: clean(request) };
  }

  #page(request) {
    const random = this.#random;
    return clean({
      ...request,
      orderFields: this.#orders(),
      fullTextFilter: this.#fullText(),
      fields: this.#fields(),
      limit: random.pick([0, 1, 3, 10, 60, 1000]),
      offset: random.chance(0.2) ? random.pick([0, 1, 4, 30, 5000]) : undefined,
      totalItems: random.chance(0.1) ? random.pick(['include', 'exclude']) : undefined,
    });
  }

  #query() {
    return {
      call: 'queryEntities',
      request: this.#page({ filter: this.#random.chance(0.85) ? this.#filter() : undefined }),
    };
  }

  #queryByPredicate() {
    const filter = this.#random.chance(0.2) ? this.#filter() : undefined;
    return { call: 'queryEntities', request: this.#page({ query: this.#predicate(), filter }) };
  }

  #stream() {
    const random = this.#random;
    const { limit, offset, totalItems, ...request } = this.#page(
      random.chance(0.5) ? { filter: this.#filter() } : { query: this.#predicate() },
    );
    return { call: 'streamEntities', request: clean({ ...request, pageSize: random.pick([7, 20, 1000]) }) };
  }

  #byRefs() {
    const random = this.#random;
    const ref = () => {
      const known = random.pick(this.#refs);
      return random.pick([
        known.toLowerCase(),
        known.toLowerCase(),
        known.toLowerCase(),
        known,
        'component:default/no-such-entity',
        known.split('/')[1],
        '',
      ]);
    };
    return {
      call: 'getEntitiesByRefs',
      request: clean({
        entityRefs: random.some(1, 12, ref),
        filter: random.chance(0.4) ? this.#filter() : undefined,
        query: random.chance(0.4) ? this.#predicate() : undefined,
        fields: this.#fields(),
      }),
    };
  }

  #facets() {
    const random = this.#random;
    return {
      call: 'getEntityFacets',
      request: clean({
        facets: [...new Set(random.some(1, 3, () => this.#key()))],
        filter: random.chance(0.5) ? this.#filter() : undefined,
        query: random.chance(0.3) ? this.#predicate() : undefined,
      }),
    };
  }
}

function clean(request) {
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
}
