// One of the two catalogs that are compared: where it is, how it is asked, and how a provider's mutation reaches it.

import { fetchReply } from './http.mjs';
import { until } from './waiting.mjs';

const START_BOUND_MS = 120_000;

export class Side {
  #token;
  #child;

  constructor({ name, origin, mount, token, child, push }) {
    this.name = name;
    this.origin = origin;
    this.mount = mount;
    this.#token = token;
    this.#child = child;
    // A provider's mutation: `{type, added: [{entity, locationKey}], removed: [ref]}`.
    this.push = push;
  }

  get base() {
    return `${this.origin}${this.mount}`;
  }

  get token() {
    return this.#token();
  }

  async started() {
    const ready = until(async () => {
      try {
        const { status } = await fetchReply({ url: `${this.origin}/.backstage/health/v1/readiness` });
        return status === 200;
      } catch {
        return false;
      }
    }, START_BOUND_MS);
    if (!(await Promise.race([ready, this.#child.died]))) throw new Error(`${this.name} did not become ready`);
    return this;
  }

  // A request below the catalog's mount, or with `root` below the origin.
  ask({ path, root = false, anonymous = false, headers, ...request }) {
    const url = `${root ? this.origin : this.base}${path}`;
    const authorization = anonymous ? {} : { authorization: `Bearer ${this.token}` };
    return Promise.race([fetchReply({ url, headers: { ...authorization, ...headers }, ...request }), this.#child.died]);
  }

  async get(path) {
    const reply = await this.ask({ path });
    return reply.status === 200 ? reply.body : undefined;
  }
}
