// Where two replies, or two states, differ: a list of places with what is there on each side. Nothing differs: an empty list.

import { isDeepStrictEqual } from 'node:util';

const isNested = value => typeof value === 'object' && value !== null;
const ABSENT = '(nothing)';

// Replies with another status differ as a whole: their bodies say different things, and one line says which.
export function differencesOfReplies(backstage, greenroom) {
  if (backstage.status === greenroom.status) return differences(backstage, greenroom);
  return [{ path: 'reply', backstage: inShort(backstage), greenroom: inShort(greenroom) }];
}

function inShort({ status, body }) {
  if (body?.error?.name) return `${status} ${body.error.name}: ${body.error.message}`;
  if (body?.errors) return `${status} ${body.errors.map(({ name, message }) => `${name}: ${message}`).join('; ')}`;
  return `${status}`;
}

export function differences(backstage, greenroom, path = '') {
  if (isDeepStrictEqual(backstage, greenroom)) return [];
  if (!isNested(backstage) || !isNested(greenroom) || Array.isArray(backstage) !== Array.isArray(greenroom)) {
    return [{ path, backstage: backstage ?? orAbsent(backstage), greenroom: greenroom ?? orAbsent(greenroom) }];
  }
  const keys = new Set([...Object.keys(backstage), ...Object.keys(greenroom)]);
  return [...keys].flatMap(key => differences(backstage[key], greenroom[key], path ? `${path}/${key}` : key));
}

const orAbsent = value => (value === undefined ? ABSENT : value);

// A difference as two short lines.
export function shown({ path, backstage, greenroom }) {
  const short = value => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return text.length > 300 ? `${text.slice(0, 300)}…` : text;
  };
  return [`  ${path}`, `    - Backstage  ${short(backstage)}`, `    + Greenroom  ${short(greenroom)}`].join('\n');
}
