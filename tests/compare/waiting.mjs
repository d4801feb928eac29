// Waiting for a state: looked at again and again, with a bound that only a failure reaches.

export const LOOK_MS = 100;

export const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// Looks until `look` returns something, and returns that; after `boundMs` returns undefined.
export async function until(look, boundMs) {
  const end = Date.now() + boundMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() > end) return undefined;
    await pause(LOOK_MS);
  }
}
