// The same question to both sides, and the same change on both.

import { differences, differencesOfReplies, shown } from './difference.mjs';
import { normal, normalReply, ordered, refOf } from './normal.mjs';
import { until } from './waiting.mjs';

// How long both sides may take to come to the same state: Backstage looks for orphans every 30 s.
const SETTLE_MS = 90_000;

export class Pair {
  #comparison;

  constructor(backstage, greenroom, comparison) {
    this.backstage = backstage;
    this.greenroom = greenroom;
    this.#comparison = comparison;
  }

  get sides() {
    return [this.backstage, this.greenroom];
  }

  // Does the same on both sides; returns both results.
  both(act) {
    return Promise.all(this.sides.map(act));
  }

  // Asks both sides the same and compares the replies. A request is a value, or a function of the side where the sides have
  // ids of their own; `then` makes a second request of the first reply, and only what that one is answered is compared.
  async compare(at, request, { then, ...options } = {}) {
    const replies = await this.both(async side => {
      const asked = typeof request === 'function' ? await request(side) : request;
      const first = await side.ask(asked);
      return then ? side.ask(await then(first, side)) : first;
    });
    const [backstage, greenroom] = replies.map((reply, which) => normalReply(reply, this.sides[which], options));
    this.#comparison.note(at, differencesOfReplies(backstage, greenroom));
    return replies;
  }

  // Takes what was seen of each side.
  note(at, backstage, greenroom) {
    this.#comparison.note(at, differences(backstage, greenroom));
  }

  // Waits until both sides serve what `reached` asks for and differ in nothing but what is expected, and compares all they serve.
  async settle(at, reached = () => true) {
    let seen;
    let last = [false, false];
    const settled = await until(async () => {
      const states = await this.both(stateOf);
      last = states.map((state, which) => reached(state, this.sides[which]));
      seen = differences(...states.map((state, which) => normal(state, this.sides[which])), 'state');
      return last.every(Boolean) && this.#comparison.unexplained(at, seen).length === 0;
    }, SETTLE_MS);
    const late = this.sides.filter((_, which) => !last[which]).map(({ name }) => name);
    if (!settled && late.length > 0) {
      this.#comparison.fail(`${at}: ${late.join(' and ')} did not come to that state\n${seen.map(shown).join('\n')}`);
      return;
    }
    this.#comparison.note(at, seen);
  }
}

// All that a client sees of a catalog: entities by ref, with who emits them, and registered locations.
async function stateOf(side) {
  const [entities, locations] = await Promise.all([side.get('/entities'), side.get('/locations')]);
  return { entities: byRef(entities ?? []), locations: ordered(locations ?? []).map(({ data }) => data) };
}

// By what they are, so that one more is one difference.
const relationsOf = ({ relations }) =>
  Object.fromEntries(relations.map(({ type, targetRef, ...rest }) => [`${type} ${targetRef}`, rest]));

const byRef = entities =>
  Object.fromEntries(
    entities
      .map(entity => [refOf(entity), { ...entity, relations: relationsOf(entity) }])
      .sort(([left], [right]) => (left < right ? -1 : 1)),
  );
