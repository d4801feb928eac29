// Compares a live Backstage catalog backend with Greenroom: the same scenario on both, and what a client then sees of each.
// `make compare` runs it. Every difference must be one of `expected.mjs`, which names the row of docs/compatibility.md that
// explains it; one that is not, an expected one that did not occur, and a row that nothing accounts for are failures.
//
//   node compare.mjs PROGRAM   PROGRAM is the `greenroom` binary
//
// Two pairs are compared, each an instance of Backstage and a tenant of Greenroom that are set up alike: one as it comes, one
// that keeps orphans. Everything runs on the loopback, in a folder of its own, and is gone at the end.

import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startBackstage } from './backstage.mjs';
import { Comparison } from './comparison.mjs';
import { EXPECTED, UNSHOWN } from './expected.mjs';
import { Files } from './files.mjs';
import { startGreenroom } from './greenroom.mjs';
import { Pair } from './pair.mjs';
import { freePorts } from './ports.mjs';
import { createDatabaseOfLanguage, startPostgres } from './postgres.mjs';
import { probe } from './probes.mjs';
import { atEnd, endAll } from './processes.mjs';
import { readRows } from './rows.mjs';
import { begin, live } from './scenario.mjs';
import { second } from './second.mjs';
import { ROWS_OF_OURS, decide } from './verdicts.mjs';

async function main(program) {
  if (!existsSync(program)) throw new Error(`${program} is not there: build it with \`cargo build --bin greenroom\``);
  const comparison = new Comparison({ expected: EXPECTED, unshown: UNSHOWN, rows: readRows(), decided: ROWS_OF_OURS });
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-compare-'));
  // Postgres may run as somebody else, who has to get to its folder below.
  chmodSync(folder, 0o755);
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const files = await Files.start();
  const repository = await Files.start();
  const sources = { files, integration: { host: repository.host, rawBaseUrl: repository.url('raw') } };
  const [port] = await freePorts(1);
  const connection = await startPostgres(folder, port);
  await createDatabaseOfLanguage(connection, 'keep_catalog');
  const greenroom = await startGreenroom(program, { folder, tenants: { default: undefined, keep: 'keep' }, sources });
  const backstage = {
    default: await startBackstage('default', { folder, connection, sources }),
    keep: await startBackstage('keep', {
      folder,
      connection,
      sources,
      orphanStrategy: 'keep',
      locationTypes: ['url', 'file'],
    }),
  };
  await Promise.all([...Object.values(backstage), ...Object.values(greenroom)].map(side => side.started()));
  const pair = new Pair(backstage.default, greenroom.default, comparison);
  const location = await begin(pair, files);
  await probe(pair, { files, location });
  await live(pair, files);
  await second(new Pair(backstage.keep, greenroom.keep, comparison), { files, repository });
  await decide(pair.backstage, comparison);
  return comparison.finish();
}

let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, async () => {
    stopped = true;
    await endAll();
    process.exit(130);
  });
}

let code = 1;
try {
  code = (await main(resolve(process.argv[2] ?? 'target/debug/greenroom'))) ? 0 : 1;
} catch (error) {
  if (!stopped) console.error(`make compare: ${error.message}`);
}
await endAll();
process.exit(stopped ? 130 : code);
