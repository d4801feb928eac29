// What the host must answer: the in-memory client's answer, corrected where `known.mjs` says that it is known to differ.
//
// The answer is taken apart into what can differ on its own (conditions, records, full text, order, fields, facets, pages), each
// part is asked of the in-memory client, and each part it answers otherwise than we expect must be explained by a row of
// `known.mjs` for that very condition and entity. What no row explains is thrown, so that the expectation cannot drift away
// from the in-memory client unseen. Entities are those that the host serves, in the order of their uids.

import { isDeepStrictEqual } from 'node:util';
import { CATALOG_FILTER_EXISTS } from '@backstage/catalog-client';
import { InMemoryCatalogClient } from '@backstage/catalog-client/testUtils';
import { MOST_PAGES, ask, withSymbols } from './ask.mjs';
import { holds, leavesOf, recordsOf, testOf } from './conditions.mjs';
import { KNOWN } from './known.mjs';
import { project } from './projection.mjs';
import { Unaskable, asSent, hasUnwritable } from './sent.mjs';

// Longest key and value that are searchable, in UTF-16 units.
const MOST_UNITS = 200;
// The page size of by-query where none is asked for.
const DEFAULT_LIMIT = 200;
export const refOf = ({ kind, metadata }) => `${kind}:${metadata.namespace ?? 'default'}/${metadata.name}`.toLowerCase();
const byBytes = (left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right));

// The in-memory client and we differ, and no row of `known.mjs` says why.
export class Unexplained extends Error {}

export class Oracle {
  // How often each known difference explained something.
  uses = new Map(KNOWN.map(row => [row.name, 0]));
  // Requests that the in-memory client answers as expected, whole.
  alike = 0;

  #explained = false;
  #entities;
  #memory;
  // The same entities with everything but relations in lower case: what says whether a key is there in any case.
  #lowered;
  #alone = new Map();
  #columns = new Map();
  #leaves = new Map();

  constructor(entities) {
    this.#entities = [...entities].sort((left, right) => byBytes(left.metadata.uid, right.metadata.uid));
    this.#memory = new InMemoryCatalogClient({ entities: this.#entities });
    this.#lowered = this.#entities.map(entity => ({
      ...JSON.parse(JSON.stringify(entity).toLowerCase()),
      relations: entity.relations,
    }));
    for (const entity of this.#entities) {
      this.#alone.set(entity, new InMemoryCatalogClient({ entities: [entity] }));
    }
  }

  async expect(asked) {
    const { call, request } = asked;
    const asUrl = request.query === undefined;
    if (asUrl && hasUnwritable(call === 'getEntitiesByRefs' ? request.filter : request)) {
      throw new Unaskable('the client cannot write this into a URL');
    }
    const understood = asUrl && request.filter !== undefined ? { ...request, filter: asSent(request.filter) } : request;
    this.#explained = false;
    const expected = await this.#expect(call, understood);
    // A copy where fields are asked for: the in-memory client writes into entities when one field is below another.
    const memory = request.fields ? new InMemoryCatalogClient({ entities: structuredClone(this.#entities) }) : this.#memory;
    let theirs;
    try {
      theirs = await ask(memory, { call, request: understood });
    } catch (error) {
      this.#explain('cursor', { error }, `the in-memory client gives up: ${error.message}`);
      return expected;
    }
    if (isDeepStrictEqual(theirs, expected)) {
      this.alike += 1;
    } else if (call === 'queryEntities') {
      this.#explain('page', { request }, 'the in-memory client cuts pages otherwise', this.#explained);
    } else if (!this.#explained) {
      throw new Unexplained('the in-memory client answers otherwise, though in no part');
    }
    return expected;
  }

  async #expect(call, request) {
    switch (call) {
      case 'getEntities':
        return this.#list(request);
      case 'queryEntities':
        return this.#pages(request);
      case 'streamEntities':
        return this.#stream(request);
      case 'getEntitiesByRefs':
        return this.#byRefs(request);
      case 'getEntityFacets':
        return this.#facets(request);
      default:
        throw new Error(`no expectation for ${call}`);
    }
  }

  // Notes the rows that explain a difference. Only where others have explained it may there be none.
  #explain(where, context, what, already = false) {
    const rows = KNOWN.filter(row => row.where === where && row.when(context));
    if (rows.length === 0 && !already) {
      throw new Unexplained(`${what}; no known difference explains it`);
    }
    this.#explained = true;
    for (const { name } of rows) this.uses.set(name, this.uses.get(name) + 1);
  }

  // --- What is searchable ---

  // For each entity, what is searchable of it under a key: its texts (lower case and as written), how many are too long to be
  // looked at, how many spellings there are, whether the key is there at all, and whether it has capitals.
  async #column(key) {
    const lowered = key.toLowerCase();
    if (this.#columns.has(lowered)) return this.#columns.get(lowered);
    const having = async entities =>
      new Set(
        (await new InMemoryCatalogClient({ entities }).getEntities({ filter: { [lowered]: CATALOG_FILTER_EXISTS } })).items,
      );
    const [there, asWritten] = [await having(this.#lowered), await having(this.#entities)];
    const column = new Map();
    for (const [at, entity] of this.#entities.entries()) {
      const row = { exists: false, capital: false, values: [], overlong: 0, spellings: 0 };
      column.set(entity, row);
      if (!there.has(this.#lowered[at]) || lowered.length > MOST_UNITS) continue;
      row.exists = true;
      row.capital = !asWritten.has(entity);
      const { facets } = await this.#alone.get(entity).getEntityFacets({ facets: [lowered] });
      for (const { value } of facets[lowered]) {
        const text = value.toLowerCase();
        if (text.length > MOST_UNITS) {
          row.overlong += 1;
          continue;
        }
        row.spellings += 1;
        if (!row.values.some(known => known.text === text))
          row.values.push({ text, original: original(entity, lowered, value) });
      }
    }
    this.#columns.set(lowered, column);
    return column;
  }

  // --- Membership ---

  // The entities that match, in the order of their uids.
  async #members({ filter, query, fullText, orderField }) {
    const trees = [];
    if (filter !== undefined) trees.push(await this.#filterTree(filter));
    if (query !== undefined) trees.push(await this.#predicateTree(query));
    const { items } = await this.#memory.queryEntities({ filter: withSymbols(filter), query });
    const theirs = new Set(items);
    let members = [];
    for (const entity of this.#entities) {
      const ours = trees.every(tree => holds(tree, entity));
      if (ours !== theirs.has(entity)) this.#explainMember(trees, entity);
      if (ours) members.push(entity);
    }
    if (fullText?.term.trim()) members = await this.#withText(members, fullText, orderField);
    return members;
  }

  #explainMember(trees, entity) {
    const what = () => `the in-memory client says otherwise of ${refOf(entity)}`;
    let explained = false;
    for (const leaf of trees.flatMap(leavesOf)) {
      if (leaf.theirs.has(entity) === leaf.ours.has(entity)) continue;
      this.#explain(
        'condition',
        { leaf, row: leaf.column.get(entity), entity },
        `${what()}, for ${JSON.stringify(leaf.predicate ?? leaf.record)}`,
      );
      explained = true;
    }
    for (const node of trees.flatMap(tree => tree.any ?? []).filter(({ record }) => record !== undefined)) {
      if (explained || node.theirs.has(entity) === holds(node, entity)) continue;
      this.#explain('record', { record: node.record }, `${what()}, for ${JSON.stringify(node.record)}`);
      explained = true;
    }
    if (!explained) throw new Unexplained(`${what()}, though of no part of the request`);
  }

  async #filterTree(filter) {
    const any = [];
    for (const { record, conditions } of recordsOf(filter)) {
      const all = await Promise.all(conditions.map(condition => this.#leaf(condition)));
      const { items } = await this.#memory.getEntities({ filter: withSymbols(record) });
      any.push({ all, record, theirs: new Set(items) });
    }
    return { any };
  }

  async #predicateTree(predicate) {
    const inner = async list => Promise.all(list.map(one => this.#predicateTree(one)));
    if ('$all' in predicate) return { all: await inner(predicate.$all) };
    if ('$any' in predicate) return { any: await inner(predicate.$any) };
    if ('$not' in predicate) return { not: await this.#predicateTree(predicate.$not) };
    const leaves = Object.entries(predicate).map(([key, condition]) =>
      this.#leaf({ ...testOf(key, condition), predicate: { [key]: condition } }),
    );
    return { all: await Promise.all(leaves) };
  }

  // A condition with the entities that meet it, by us and by them.
  async #leaf(leaf) {
    const name = JSON.stringify(leaf);
    if (this.#leaves.has(name)) return this.#leaves.get(name);
    const column = await this.#column(leaf.key);
    const meets = ({ exists, values }) => {
      if (leaf.exists !== undefined) return exists === leaf.exists;
      if (leaf.prefix !== undefined) return values.some(({ text }) => text.startsWith(leaf.prefix));
      return values.some(({ text }) => leaf.values.includes(text));
    };
    const { items } = leaf.predicate
      ? await this.#memory.queryEntities({ query: leaf.predicate })
      : await this.#memory.getEntities({ filter: withSymbols(leaf.record) });
    const found = {
      ...leaf,
      column,
      theirs: new Set(items),
      ours: new Set(this.#entities.filter(entity => meets(column.get(entity)))),
    };
    this.#leaves.set(name, found);
    return found;
  }

  async #withText(members, { term, fields }, orderField) {
    const wanted = term.trim().toLowerCase();
    const keys = (fields ?? [orderField ?? 'metadata.uid']).map(key => key.toLowerCase());
    const columns = await Promise.all(keys.map(key => this.#column(key)));
    const client = new InMemoryCatalogClient({ entities: members });
    const theirs = new Set((await client.queryEntities({ fullTextFilter: { term, fields: keys } })).items);
    return members.filter(entity => {
      const rows = columns.map(column => column.get(entity));
      const ours = rows.some(({ values }) => values.some(({ text }) => text.includes(wanted)));
      if (ours !== theirs.has(entity))
        this.#explain('text', { rows, keys }, `the in-memory client finds \`${term}\` otherwise in ${refOf(entity)}`);
      return ours;
    });
  }

  // --- Order ---

  // The rows in order. `paged` is the way of `/entities` with paging; the other one is that of by-query and of lists without.
  async #rows(members, order, paged) {
    const rows = paged ? await this.#pagedRows(members, order) : await this.#queryRows(members, order);
    const { items } = await new InMemoryCatalogClient({ entities: members }).getEntities({
      order: order.length > 0 ? order : undefined,
    });
    if (!isDeepStrictEqual(items.map(refOf), rows.map(refOf))) {
      const columns = await Promise.all(order.map(({ field }) => this.#column(field)));
      const some = test => columns.some(column => members.some(entity => test(column.get(entity))));
      const keys = members.map(entity =>
        JSON.stringify(columns.map(column => column.get(entity).values.map(({ text }) => text))),
      );
      this.#explain(
        'order',
        {
          order,
          paged,
          ties: order.length > 0 && new Set(keys).size < keys.length,
          lacking: some(({ values }) => values.length === 0),
          several: some(({ values }) => values.length > 1),
          overlong: some(({ overlong }) => overlong > 0),
          texts: columns.flatMap(column => members.flatMap(entity => column.get(entity).values.map(({ text }) => text))),
        },
        'the in-memory client has another order',
      );
    }
    return rows;
  }

  async #queryRows(members, [first]) {
    if (!first) return members;
    const column = await this.#column(first.field);
    const rows = members.flatMap(entity => column.get(entity).values.map(({ text }) => ({ text, entity })));
    rows.sort(
      (left, right) => byBytes(left.text, right.text) || byBytes(left.entity.metadata.uid, right.entity.metadata.uid),
    );
    if (first.order === 'desc') rows.reverse();
    return rows.map(({ entity }) => entity);
  }

  async #pagedRows(members, order) {
    if (order.length === 0) return [...members].sort((left, right) => byBytes(refOf(left), refOf(right)));
    const nobody = { values: [] };
    const columns = await Promise.all(
      order.map(async ({ field }) => (field === field.toLowerCase() ? this.#column(field) : undefined)),
    );
    const rows = members.flatMap(entity => {
      const values = columns.map(column => (column?.get(entity) ?? nobody).values.map(({ text }) => text));
      const combine = ([head, ...tail]) =>
        head === undefined
          ? [[]]
          : (head.length > 0 ? head : [null]).flatMap(one => combine(tail).map(rest => [one, ...rest]));
      return combine(values).map(texts => ({ texts, entity }));
    });
    rows.sort((left, right) => {
      for (const [at, { order: direction }] of order.entries()) {
        const [one, other] = [left.texts[at], right.texts[at]];
        if (one === other) continue;
        // Nothing is last in either direction.
        if (one === null || other === null) return one === null ? 1 : -1;
        return direction === 'desc' ? byBytes(other, one) : byBytes(one, other);
      }
      return byBytes(left.entity.metadata.uid, right.entity.metadata.uid);
    });
    return rows.map(({ entity }) => entity);
  }

  // --- Fields ---

  async #project(entities, fields) {
    if (!fields?.length) return entities;
    return Promise.all(entities.map(entity => entity && this.#projectOne(entity, fields)));
  }

  async #projectOne(entity, fields) {
    const kept = project(entity, fields);
    // A copy each time: the in-memory client writes into entities when one field is below another.
    const theirs = async some => {
      const client = new InMemoryCatalogClient({ entities: [structuredClone(entity)] });
      return (await client.getEntities({ fields: some })).items[0];
    };
    if (isDeepStrictEqual(await theirs(fields), kept)) return kept;
    for (const field of fields) {
      if (isDeepStrictEqual(project(entity, [field]), await theirs([field]))) continue;
      const what = `the in-memory client keeps otherwise \`${field}\` of ${refOf(entity)}`;
      this.#explain('fields', { entity, field }, what);
    }
    return kept;
  }

  // --- Calls ---

  async #list({ filter, order, fields, limit, offset, after }) {
    const paged = limit !== undefined || offset !== undefined || after !== undefined;
    const members = await this.#members({ filter });
    const rows = await this.#rows(members, [order ?? []].flat(), paged);
    const from = after?.offset ?? offset ?? 0;
    const most = after?.limit ?? limit ?? 10_000;
    return this.#project(paged ? rows.slice(from, from + most) : rows, fields);
  }

  async #queryResult({ filter, query, fullTextFilter, orderFields }) {
    const order = [orderFields ?? []].flat();
    const members = await this.#members({
      filter,
      query,
      fullText: fullTextFilter,
      orderField: order[0]?.field,
    });
    return this.#rows(members, order, false);
  }

  async #pages(request) {
    const { fields, limit = DEFAULT_LIMIT, offset = 0, totalItems } = request;
    const rows = await this.#queryResult(request);
    const total = totalItems === 'exclude' ? 0 : new Set(rows).size;
    const pages = [];
    let from = offset;
    do {
      const page = rows.slice(from, from + limit);
      pages.push({
        items: await this.#project(page, fields),
        totalItems: total,
        previous: pages.length > 0,
        next: limit > 0 && from + limit < rows.length,
      });
      from += limit;
    } while (pages.at(-1).next && pages.length < MOST_PAGES);
    // And back to the first page, which ends at the row it began with.
    const backward = pages
      .slice(0, -1)
      .reverse()
      .map(page => ({ ...page, next: true }));
    return [...pages, ...backward];
  }

  async #stream({ pageSize, ...request }) {
    return this.#project(await this.#queryResult(request), request.fields);
  }

  async #byRefs({ entityRefs, filter, query, fields }) {
    const members = await this.#members({ filter, query });
    const byRef = new Map(members.map(entity => [refOf(entity), entity]));
    return this.#project(
      entityRefs.map(ref => byRef.get(ref)),
      fields,
    );
  }

  async #facets({ facets, filter, query }) {
    const members = await this.#members({ filter, query });
    const client = new InMemoryCatalogClient({ entities: members });
    const found = {};
    for (const facet of facets) {
      const column = await this.#column(facet);
      const rows = members.map(entity => column.get(entity));
      const counts = new Map();
      for (const { text, original } of rows.flatMap(({ values }) => values)) {
        const known = counts.get(original) ?? { text, value: original, count: 0 };
        counts.set(original, { ...known, count: known.count + 1 });
      }
      const ours = [...counts.values()]
        .sort((left, right) => byBytes(left.text, right.text) || byBytes(left.value, right.value))
        .map(({ value, count }) => ({ value, count }));
      const theirs = (await client.getEntityFacets({ facets: [facet] })).facets[facet];
      if (!isDeepStrictEqual(ours, theirs)) {
        const sorted = list => list.map(one => JSON.stringify(one)).sort();
        const sameCounts = isDeepStrictEqual(sorted(ours), sorted(theirs));
        this.#explain('facets', { key: facet, rows, sameCounts }, `the in-memory client counts otherwise \`${facet}\``);
      }
      found[facet] = ours;
    }
    return found;
  }
}

// The value as the entity writes it, where the in-memory client shows it in lower case.
function original({ metadata }, key, value) {
  if (key === 'metadata.name') return metadata.name;
  if (key === 'metadata.namespace') return metadata.namespace ?? 'default';
  return value;
}
