// What of a request arrives: how the client writes filters into a URL (ref 7.3, 7.10), and what it cannot write there.

// A filter as it arrives where it is sent as a parameter: nothing escapes a comma, ends are trimmed, a record without a statement
// is not sent (ref 7.3). `undefined`: there is no filter then. Throws on a statement without a key, which is a 400.
export function asSent(filter) {
  const records = [filter ?? []]
    .flat()
    .map(record => {
      const parts = Object.entries(record).flatMap(([key, values]) =>
        [values].flat().map(one => (one?.exists ? key : `${key}=${one}`)),
      );
      const statements = parts
        .join(',')
        .split(',')
        .map(part => part.trim())
        .filter(Boolean);
      const sent = new Map();
      for (const statement of statements) {
        const at = statement.indexOf('=');
        const key = at < 0 ? statement : statement.slice(0, at).trim();
        if (!key) throw new Unaskable(`\`${statement}\` has no key`);
        sent.set(key, sent.get(key) ?? []);
        if (at >= 0) sent.get(key).push(statement.slice(at + 1).trim());
      }
      return Object.fromEntries(
        [...sent].map(([key, values]) => [
          key,
          values.length === 0 ? { exists: true } : values.length === 1 ? values[0] : values,
        ]),
      );
    })
    .filter(record => Object.keys(record).length > 0);
  return records.length > 0 ? records : undefined;
}

// A request that means nothing, such as a filter without a key, or that the client cannot send.
export class Unaskable extends Error {}

// Whether a text or key has a character that the client does not write into a URL as others read it: it has `%A` for a line
// break, and encodes the halves of a surrogate pair alone. In bodies they arrive.
export function hasUnwritable(value) {
  if (typeof value === 'string') return /[\0-\x0f\ud800-\udfff]/.test(value);
  return typeof value === 'object' && value !== null && Object.entries(value).flat().some(hasUnwritable);
}
