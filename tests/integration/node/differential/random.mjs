// Numbers from a seed: the same seed gives the same entities and the same requests, on every machine.

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  // mulberry32: small, and good enough to choose with.
  #next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count) {
    return Math.floor(this.#next() * count);
  }

  chance(part) {
    return this.#next() < part;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  // Between `least` and `most` items made by `make`.
  some(least, most, make) {
    return Array.from({ length: least + this.below(most - least + 1) }, make);
  }
}
