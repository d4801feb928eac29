// One request, sent as written: no header, encoding or redirect of a client's own.

import { request as send } from 'node:http';

const BOUND_MS = 60_000;

// `body` is sent as JSON, `raw` as it is. The reply's body is parsed where it is JSON.
export function fetchReply({ url, method = 'GET', headers = {}, body, raw }) {
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const sent = {
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(content !== undefined && { 'content-length': Buffer.byteLength(content) }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const request = send(url, { method, headers: sent, agent: false, timeout: BOUND_MS }, async response => {
      try {
        const pieces = [];
        for await (const piece of response) pieces.push(piece);
        resolve({ status: response.statusCode, headers: response.headers, body: parsed(response, Buffer.concat(pieces)) });
      } catch (error) {
        reject(error);
      }
    });
    request.on('timeout', () => request.destroy(new Error(`no answer in ${BOUND_MS} ms`)));
    request.on('error', error => reject(new Error(`${method} ${url}: ${error.message}`)));
    request.end(content);
  });
}

function parsed({ headers }, bytes) {
  if (headers['content-encoding']) return `<${headers['content-encoding']}>`;
  const text = bytes.toString();
  return text && (headers['content-type'] ?? '').startsWith('application/json') ? JSON.parse(text) : text;
}
