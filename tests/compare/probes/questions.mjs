// Short ways to ask both sides the same, and what several groups of questions share.

// A ref, uid or id of nobody.
export const NOBODY = '00000000-0000-4000-8000-000000000000';
export const UNORDERED = { unordered: true };
export const JSON_TYPE = { 'content-type': 'application/json' };

// Makes a body larger than what Backstage takes.
export const PADDING = 'x'.repeat(200 * 1024);

export const query = parameters => new URLSearchParams(parameters).toString();

export function questions(pair) {
  return {
    get: (what, path, options) => pair.compare(what, { path }, options),
    post: (what, path, body, options) => pair.compare(what, { method: 'POST', path, body }, options),
    // A body as it is.
    posted: (what, path, raw, headers) => pair.compare(what, { method: 'POST', path, raw, headers }),
  };
}
