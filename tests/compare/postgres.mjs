// A Postgres cluster of one run: made in a folder of its own, listening on the loopback, thrown away at the end.
//
// Postgres does not run as root; where we are root its programs run as `postgres`, or as `nobody` where there is no such user.

import { chownSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { atEnd, run } from './processes.mjs';

const USER = 'backstage';

// The folder of Postgres' programs: where they are found by name, or where Debian puts them.
function programs() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((left, right) => right - left) : [];
  const folders = [...(process.env.PATH ?? '').split(':'), ...versions.map(version => join(debian, version, 'bin'))];
  const found = folders.find(folder => folder && ['initdb', 'pg_ctl'].every(name => existsSync(join(folder, name))));
  if (!found) throw new Error('Postgres programs (initdb, pg_ctl) are not installed: install postgresql');
  return found;
}

async function unprivileged() {
  if (userInfo().uid !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(['-u', '-g'].map(async flag => Number(await run('id', [flag, name]))));
      return { uid, gid };
    } catch {
      // Not here.
    }
  }
  throw new Error('Postgres does not run as root, and there is neither a user `postgres` nor `nobody`');
}

// Starts it below `folder`, on `port`. Returns what a client connects with.
export async function startPostgres(folder, port) {
  const bin = programs();
  const data = join(folder, 'postgres');
  const user = await unprivileged();
  mkdirSync(data, { mode: 0o700 });
  if (user) chownSync(data, user.uid, user.gid);
  const options = { cwd: data, ...user };
  atEnd(() => rmSync(data, { recursive: true, force: true }));
  await run(join(bin, 'initdb'), ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N'], options);
  // What a crash would lose is nothing that anybody misses.
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=200`;
  atEnd(() => run(join(bin, 'pg_ctl'), ['-D', data, '-m', 'immediate', '-w', 'stop'], options).catch(() => {}));
  await run(join(bin, 'pg_ctl'), ['-D', data, '-l', join(data, 'log'), '-o', settings, '-w', 'start'], options);
  return { host: '127.0.0.1', port, user: USER };
}

// Creates a database that orders text as a language does, and not by bytes as the cluster's others.
export async function createDatabaseOfLanguage(connection, name) {
  const client = new pg.Client({ ...connection, database: 'postgres' });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE "${name}" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'`);
  } finally {
    await client.end();
  }
}
