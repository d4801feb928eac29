// The catalog files of the scenario: a server on the loopback whose files the scenario writes, changes and takes away.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { atEnd } from './processes.mjs';

export class Files {
  #files = new Map();
  #server;

  static async start() {
    const files = new Files();
    files.#server = createServer((request, response) => files.#answer(request, response));
    await new Promise((resolve, reject) => files.#server.on('error', reject).listen(0, '127.0.0.1', resolve));
    atEnd(() => {
      files.#server.closeAllConnections();
      files.#server.close();
    });
    return files;
  }

  // As hosts are named in `reading.allow`.
  get host() {
    return `127.0.0.1:${this.#server.address().port}`;
  }

  url(path) {
    return `http://${this.host}/${path}`;
  }

  write(path, text) {
    this.#files.set(`/${path}`, { text });
    return this.url(path);
  }

  remove(path) {
    this.#files.delete(`/${path}`);
  }

  // Answers with a status and no file, as a source that is down.
  fail(path, status) {
    this.#files.set(`/${path}`, { status });
  }

  #answer(request, response) {
    const file = this.#files.get(new URL(request.url, 'http://any').pathname);
    if (file?.text === undefined) {
      response.writeHead(file?.status ?? 404, { 'content-type': 'text/plain' }).end('nothing here\n');
      return;
    }
    const etag = `"${createHash('sha1').update(file.text).digest('hex')}"`;
    if (request.headers['if-none-match'] === etag) {
      response.writeHead(304, { etag }).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/yaml', etag }).end(file.text);
  }
}
